"""The expected results of the files of the corpora, from ``expected.toml``."""

import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from thumbmill.core.contracts.error_codes import ErrorCode

FILE = Path(__file__).parent / "expected.toml"

# Mean difference from libvips's rendering, in levels of 255, over colours weighted with alpha and alpha itself.
# Both decode to the same pixels except for rounding: 16 bits to 8 (half a level), chroma's upsampling in JPEG, WebP
# and AVIF, and matrices in colour profiles.
LIMITS = {"PNG": 0.5, "GIF": 0.5, "BMP": 0.5, "TIFF": 0.75, "JPEG": 0.75, "WEBP": 1.0, "AVIF": 1.0, "HEIF": 1.0}
RESIZED = 2.0  # more where the image was reduced: two ways of averaging text and noise


KINDS = ("done", "failed", "differs", "reference", "not_compared")


@dataclass(frozen=True)
class Expectation:
    """The expected result of a file."""

    code: ErrorCode | None = None  # None: DONE
    kind: str = ""  # of the exception, one of KINDS
    why: str = ""
    reference: str | None = None  # the file that libvips renders instead
    pattern: str = ""

    @property
    def compared(self) -> bool:
        return self.code is None and self.kind not in {"differs", "not_compared"}


@cache
def exceptions() -> list[Expectation]:
    """Return all exceptions in the order of their precedence."""
    found, data = [], tomllib.loads(FILE.read_text())
    for kind in KINDS:
        for group in data[kind]:
            code = ErrorCode(group["code"]) if kind == "failed" else None
            pairs = group["pairs"] if kind == "reference" else [(pattern, None) for pattern in group["files"]]
            found += [Expectation(code, kind, group["why"], reference, pattern) for pattern, reference in pairs]
    return found


def expect(name: str) -> Expectation:
    """Return the expected result of a file, by its name with its corpus in front."""
    return next((found for found in exceptions() if fnmatchcase(name, found.pattern)), Expectation())


def limit(picture_format: str, *, resized: bool) -> float:
    """Return the largest allowed mean difference from libvips's rendering."""
    return LIMITS[picture_format] + (RESIZED if resized else 0)
