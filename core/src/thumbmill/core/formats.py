"""Which format a file has, by its first bytes: one list for the gateway and for the thumbnailer.

So both ways of bringing an original, by HTTP and by S3, take the same files. A client's word is not believed.
"""

import re
from dataclasses import dataclass
from typing import Literal

Format = Literal["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "HEIF"]

SIGNATURE_BYTES = 64  # the longest signatures: a ``ftyp`` box with a dozen compatible brands


@dataclass(frozen=True)
class Signature:
    """A format as its files begin: by a pattern, or by a brand of an ISO base media file."""

    format: Format
    content_type: str
    pattern: bytes = b""
    brands: frozenset[bytes] = frozenset()


def _brands(text: str) -> frozenset[bytes]:
    return frozenset(brand.encode() for brand in text.split())


# The brands are those of ISO/IEC 23008-12 (HEIF), 23000-22 (MIAF) and of AVIF 1.1, chapter 6. "mif1" says no more
# than "an image": a file that has a codec's brand beside it is of that codec, so those come first.
SIGNATURES: tuple[Signature, ...] = (
    Signature("JPEG", "image/jpeg", rb"\xff\xd8\xff"),
    Signature("PNG", "image/png", rb"\x89PNG\r\n\x1a\n"),
    Signature("GIF", "image/gif", rb"GIF8[79]a"),
    Signature("WEBP", "image/webp", rb"RIFF....WEBP"),
    # Sizes and a hot spot, then how long the next header is: 12 in OS/2 1, up to 64 in OS/2 2, 40 to 124 else.
    Signature("BMP", "image/bmp", rb"BM.{12}[\x0c\x10-\x40lx|]\0\0\0"),
    # The number behind the byte order is turned round in files of a few writers.
    Signature("TIFF", "image/tiff", rb"II(?:[*+]\0|\0\*)|MM(?:\0[*+]|\*\0)"),
    Signature("AVIF", "image/avif", brands=_brands("avif avis MA1A MA1B")),
    Signature("HEIF", "image/heic", brands=_brands("heic heix heim heis hevc hevx hevm hevs")),
    Signature("HEIF", "image/heif", brands=_brands("mif1 msf1")),
)


def detect_format(start: bytes) -> Signature | None:
    """Find the signature of a file by its first ``ENOUGH_BYTES``; None for an unsupported format."""
    brands = read_brands(start)
    return next(
        (
            signature
            for signature in SIGNATURES
            if (signature.pattern and re.match(signature.pattern, start, re.DOTALL)) or signature.brands & brands
        ),
        None,
    )


def read_brands(start: bytes) -> frozenset[bytes]:
    """Read the brands of an ISO base media file (ISO/IEC 14496-12, 4.3), major and compatible; none of others."""
    if start[4:8] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(start[:4]), len(start), SIGNATURE_BYTES)
    return frozenset(start[at : at + 4] for at in (8, *range(16, end - 3, 4)))
