"""What is expected of a corpus's files: ``expected.toml`` as a question."""

import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from thumbmill.core.contracts.error_codes import ErrorCode

FILE = Path(__file__).parent / "expected.toml"

# Mean difference from libvips's picture, in levels of 255, over colours weighted with alpha and alpha itself. Both
# decode to the same pixels but for roundings: 16 bits to 8 (half a level), chroma's upsampling in JPEG, WebP and
# AVIF, and matrices in colour profiles.
LIMITS = {"PNG": 0.5, "GIF": 0.5, "BMP": 0.5, "TIFF": 0.75, "JPEG": 0.75, "WEBP": 1.0, "AVIF": 1.0, "HEIF": 1.0}
RESIZED = 2.0  # more, where the picture was made smaller: two ways to average text and noise


KINDS = ("done", "failed", "differs", "twins", "unseen")


@dataclass(frozen=True)
class Expectation:
    """What shall become of a file."""

    code: ErrorCode | None = None  # None: DONE
    kind: str = ""  # of the exception that was made, one of KINDS
    why: str = ""
    twin: str | None = None  # the file whose picture libvips is to show instead
    pattern: str = ""

    @property
    def compared(self) -> bool:
        return self.code is None and self.kind not in {"differs", "unseen"}


@cache
def exceptions() -> list[Expectation]:
    """Give every exception in the order in which they count."""
    found, data = [], tomllib.loads(FILE.read_text())
    for kind in KINDS:
        for group in data[kind]:
            code = ErrorCode(group["code"]) if kind == "failed" else None
            pairs = group["like"] if kind == "twins" else [(pattern, None) for pattern in group["files"]]
            found += [Expectation(code, kind, group["why"], twin, pattern) for pattern, twin in pairs]
    return found


def expect(name: str) -> Expectation:
    """Say what is expected of a file, by its name with its corpus before it."""
    return next((found for found in exceptions() if fnmatchcase(name, found.pattern)), Expectation())


def limit(picture_format: str, *, resized: bool) -> float:
    """Give the largest mean difference from libvips's picture."""
    return LIMITS[picture_format] + (RESIZED if resized else 0)
