"""Builds the decoder dc_only.c whenever this package is installed or made into a wheel.

The compiler is a package too (ziglang), so it is the same one everywhere, pinned like the rest, and a machine needs
none of its own: docs/decisions/011.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("src/thumbmill/thumbnailer/imaging/codecs/dc_only.c")
# For any processor of its kind, not this machine's own; and numbers that overflow do so in a defined way.
FLAGS = ("-O2", "-mcpu=baseline", "-fwrapv", "-fPIC", "-shared", "-s", "-Wall", "-Wextra", "-Werror")


class NativeBuild(BuildHookInterface[Any]):
    """Hatchling's hook of the name ``custom``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the same for every version
        """Compile, and say that the wheel is for this kind of machine alone."""
        library = SOURCE.with_suffix(".so")
        with tempfile.TemporaryDirectory() as cache:
            subprocess.run(  # noqa: S603 - nothing of it comes from outside
                [sys.executable, "-m", "ziglang", "cc", *FLAGS, "-o", library, SOURCE],
                cwd=self.root,
                env={**os.environ, "ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache},
                check=True,
            )
        build_data["artifacts"].append(str(library))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
