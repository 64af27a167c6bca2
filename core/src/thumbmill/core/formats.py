"""Detection of a file's format by its first bytes: one list for the gateway and for the thumbnailer.

So uploads by HTTP and by S3 accept the same files. The content type that a client sends is not trusted.
"""

import re
from dataclasses import dataclass
from typing import Literal

Format = Literal["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "HEIF"]

SIGNATURE_BYTES = 64  # of the longest signature: a ``ftyp`` box with a dozen compatible brands


@dataclass(frozen=True)
class Signature:
    """The first bytes of a format's files: a pattern, or a brand of an ISO base media file."""

    format: Format
    content_type: str
    pattern: bytes = b""
    brands: frozenset[bytes] = frozenset()


def _brands(text: str) -> frozenset[bytes]:
    return frozenset(brand.encode() for brand in text.split())


# The brands are those of ISO/IEC 23008-12 (HEIF), 23000-22 (MIAF) and of AVIF 1.1, chapter 6. "mif1" names
# no codec, so the brands of codecs come first: a file may have both.
SIGNATURES: tuple[Signature, ...] = (
    Signature("JPEG", "image/jpeg", rb"\xff\xd8\xff"),
    Signature("PNG", "image/png", rb"\x89PNG\r\n\x1a\n"),
    Signature("GIF", "image/gif", rb"GIF8[79]a"),
    Signature("WEBP", "image/webp", rb"RIFF....WEBP"),
    # Sizes and a hot spot, then the length of the next header: 12 in OS/2 1, up to 64 in OS/2 2, else 40 to 124.
    Signature("BMP", "image/bmp", rb"BM.{12}[\x0c\x10-\x40lx|]\0\0\0"),
    # After the byte order comes the number 42 or 43; a few writers store it in the other byte order.
    Signature("TIFF", "image/tiff", rb"II(?:[*+]\0|\0\*)|MM(?:\0[*+]|\*\0)"),
    Signature("AVIF", "image/avif", brands=_brands("avif avis MA1A MA1B")),
    Signature("HEIF", "image/heic", brands=_brands("heic heix heim heis hevc hevx hevm hevs")),
    Signature("HEIF", "image/heif", brands=_brands("mif1 msf1")),
)


def detect_format(start: bytes) -> Signature | None:
    """Return the signature that a file's first ``SIGNATURE_BYTES`` match; None for an unsupported format."""
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
    """Return the brands of an ISO base media file (ISO/IEC 14496-12, 4.3), major and compatible; none of others."""
    if start[4:8] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(start[:4]), len(start), SIGNATURE_BYTES)
    return frozenset(start[at : at + 4] for at in (8, *range(16, end - 3, 4)))
