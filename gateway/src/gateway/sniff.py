"""What a file is, by its first bytes: what a client declares is never believed."""

import re

ENOUGH_BYTES = 12  # the longest signatures, WebP's and those of AVIF and HEIF

OTHER = "application/octet-stream"
# HEIF's "mif1" says no more than "an image", and an AVIF may begin with it as well.
_SIGNATURES = {
    "image/jpeg": rb"\xff\xd8\xff",
    "image/png": rb"\x89PNG\r\n\x1a\n",
    "image/gif": rb"GIF8[79]a",
    "image/webp": rb"RIFF....WEBP",
    "image/avif": rb"....ftypavi[fs]",
    "image/heic": rb"....ftyphe[iv][cxms]",
    "image/heif": rb"....ftypm[is]f1",
    "image/tiff": rb"II[*+]\0|MM\0[*+]",
    "image/bmp": rb"BM....\0\0\0\0",
}
SUPPORTED = tuple(_SIGNATURES)
EXTENSIONS = {name: name.removeprefix("image/") for name in SUPPORTED} | {"image/jpeg": "jpg", "image/tiff": "tif"}


def sniff(start: bytes) -> str | None:
    """Name the content type that these first bytes begin, or None for nothing that is supported."""
    return next((name for name, begins in _SIGNATURES.items() if re.match(begins, start, re.DOTALL)), None)


def harmless(content_type: str | None) -> str:
    """Give the content type if it is one of a supported picture, else one that no browser runs."""
    return content_type if content_type in SUPPORTED else OTHER
