"""Hatchling's build hook: compile the JPEG decoder dc_only.c for an editable install and for a wheel.

The compiler is a pinned package, too (ziglang). So every build uses the same one, and none has to be installed:
docs/decisions/011.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("src/thumbmill/thumbnailer/imaging/codecs/dc_only.c")
# For any processor of the architecture, not only for this machine's, and with defined integer overflow.
FLAGS = ("-O2", "-mcpu=baseline", "-fwrapv", "-fPIC", "-shared", "-s", "-Wall", "-Wextra", "-Werror")


class NativeBuild(BuildHookInterface[Any]):
    """The hook that pyproject.toml calls ``custom``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the same for each version
        """Compile the library, and tag the wheel with this platform."""
        library = SOURCE.with_suffix(".so")
        with tempfile.TemporaryDirectory() as cache:
            subprocess.run(  # noqa: S603 - no argument comes from outside
                [sys.executable, "-m", "ziglang", "cc", *FLAGS, "-o", library, SOURCE],
                cwd=self.root,
                env={**os.environ, "ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache},
                check=True,
            )
        build_data["artifacts"].append(str(library))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
