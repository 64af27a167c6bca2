"""Decoding a JPEG: at an eighth of its edges by our own decoder, else by libjpeg-turbo's own interface.

The latter tells what it had to make up, which Pillow keeps to itself. Either way the pixels are the very same as
Pillow's, and come sooner: they stay in the memory that they were written to.
"""

from dataclasses import dataclass
from typing import Any

import simplejpeg
from PIL import Image

from thumbmill.thumbnailer.imaging.codecs import jpeg_dc_only
from thumbmill.thumbnailer.imaging.geometry import Size

# By the mode of an opened file: what libjpeg shall write, the mode and the raw mode that Pillow has for it, bytes a
# pixel. CMYK is stored the other way round.
_PIXELS = {"RGB": ("RGBX", "RGBX", "RGBX", 4), "L": ("GRAY", "L", "L", 1), "CMYK": ("CMYK", "CMYK", "CMYK;I", 4)}
FULL_SCALE = 8  # eighths
_BLANK = b"\x80"  # grey, as libjpeg paints what is missing


@dataclass(frozen=True)
class Decoded:
    """What came of a JPEG."""

    image: Image.Image | None  # of mode RGBX, where others say RGB; None if not a pixel came
    warning: str = ""  # libjpeg's first one, in its own words


def scaled_size(size: Size, eighths: int) -> Size:
    """Give the size of a JPEG that is decoded at so many eighths, as libjpeg rounds it."""
    return -(-size[0] * eighths // 8), -(-size[1] * eighths // 8)


def decode_dc_only(header: Image.Image, data: bytes, size: Size) -> Image.Image | None:
    """Decode a sound JPEG whose header was opened, at the size that an eighth of its edges comes to, by ourselves.

    None for what only libjpeg can decode, or shall judge.
    """
    width, height = size
    pixels = bytearray(width * height * _PIXELS[header.mode][3])
    return _wrap(header, size, pixels) if jpeg_dc_only.decode(data, pixels) else None


def decode(header: Image.Image, data: bytes, size: Size, eighths: int, *, keep_damaged: bool = False) -> Decoded:
    """Have libjpeg decode a JPEG whose header was opened, at the size that so many eighths of its edges come to.

    After most complaints libjpeg goes on, but only for ``keep_damaged`` are there pixels then.
    """
    wanted, _, _, bytes_per_pixel = _PIXELS[header.mode]
    width, height = size
    least = {"min_width": width, "min_height": height} if eighths < FULL_SCALE else {}
    pixels, complaint = None, ""
    if keep_damaged:
        pixels = bytearray(_BLANK) * (width * height * bytes_per_pixel)
    try:
        array = simplejpeg.decode_jpeg(data, wanted, buffer=pixels, **least)
    except ValueError as fault:
        complaint = str(fault)
        if pixels is None or pixels.count(_BLANK) == len(pixels):
            return Decoded(None, complaint)
    return Decoded(_wrap(header, size, array if pixels is None else pixels), complaint)


def _wrap(header: Image.Image, size: Size, pixels: Any) -> Image.Image:
    _, mode, raw_mode, _ = _PIXELS[header.mode]
    image = Image.frombuffer(mode, size, pixels, "raw", raw_mode, 0, 1)
    image.info = header.info
    return image
