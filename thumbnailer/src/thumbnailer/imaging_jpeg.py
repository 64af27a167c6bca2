"""Decoding a JPEG by libjpeg-turbo's own interface, which tells what it had to make up; Pillow keeps it to itself.

The pixels are the very same as Pillow's, and come sooner: they stay in the memory that libjpeg wrote them to.
"""

from dataclasses import dataclass

import simplejpeg
from PIL import Image

from thumbnailer.layout import Size

# By the mode of an opened file: what libjpeg shall write, the mode and the raw mode that Pillow has for it, bytes a
# pixel. CMYK is stored the other way round.
_PIXELS = {"RGB": ("RGBX", "RGBX", "RGBX", 4), "L": ("GRAY", "L", "L", 1), "CMYK": ("CMYK", "CMYK", "CMYK;I", 4)}
_BLANK = b"\x80"  # grey, as libjpeg paints what is missing


@dataclass(frozen=True)
class Decoded:
    """What came of a JPEG."""

    image: Image.Image | None  # of mode RGBX, where others say RGB; None if not a pixel came
    complaint: str = ""  # libjpeg's first one, in its own words


def decode(header: Image.Image, data: bytes, size: Size, *, reduced: bool, keep_damaged: bool = False) -> Decoded:
    """Decode a JPEG whose header was opened at a size, which may be ``reduced`` to any number of eighths.

    After most complaints libjpeg goes on, but only for ``keep_damaged`` are there pixels then.
    """
    wanted, mode, raw_mode, bytes_per_pixel = _PIXELS[header.mode]
    width, height = size
    least = {"min_width": width, "min_height": height} if reduced else {}
    pixels, complaint = None, ""
    if keep_damaged:
        pixels = bytearray(_BLANK) * (width * height * bytes_per_pixel)
    try:
        array = simplejpeg.decode_jpeg(data, wanted, buffer=pixels, **least)
    except ValueError as fault:
        complaint = str(fault)
        if pixels is None or pixels.count(_BLANK) == len(pixels):
            return Decoded(None, complaint)
    image = Image.frombuffer(mode, size, array if pixels is None else pixels, "raw", raw_mode, 0, 1)
    image.info = header.info
    return Decoded(image, complaint)
