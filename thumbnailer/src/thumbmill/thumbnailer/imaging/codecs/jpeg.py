"""JPEGs: at an eighth of their size by our own decoder, else by libjpeg-turbo's own interface.

The latter reports libjpeg's warnings, which Pillow hides. The pixels are identical to Pillow's, and both are
faster: the pixels stay in the memory that they were written to.
"""

from dataclasses import dataclass
from typing import Any

import simplejpeg
from PIL import Image

from thumbmill.thumbnailer.imaging.codecs import jpeg_dc_only
from thumbmill.thumbnailer.imaging.geometry import Size

# By the mode of an opened file: libjpeg's output format, Pillow's mode and raw mode for it, and bytes per pixel.
# CMYK is stored inverted.
_PIXELS = {"RGB": ("RGBX", "RGBX", "RGBX", 4), "L": ("GRAY", "L", "L", 1), "CMYK": ("CMYK", "CMYK", "CMYK;I", 4)}
FULL_SCALE = 8  # eighths
_BLANK = b"\x80"  # grey, which libjpeg writes where data are missing


@dataclass(frozen=True)
class DecodedJpeg:
    """The result of libjpeg."""

    image: Image.Image | None  # of mode RGBX instead of RGB; None if there are no pixels
    warning: str = ""  # the text of libjpeg's first warning or error


def scaled_size(size: Size, eighths: int) -> Size:
    """Return the size of a JPEG that is decoded at a scale in eighths, rounded as by libjpeg."""
    return -(-size[0] * eighths // 8), -(-size[1] * eighths // 8)


def decode_dc_only(header: Image.Image, data: bytes, size: Size) -> Image.Image | None:
    """Decode an opened JPEG at an eighth of its size by our own decoder.

    Return None for what only libjpeg decodes, and for damaged files, so that libjpeg decides about them.
    """
    width, height = size
    pixels = bytearray(width * height * _PIXELS[header.mode][3])
    return _wrap(header, size, pixels) if jpeg_dc_only.decode(data, pixels) else None


def decode(
    header: Image.Image, data: bytes, size: Size, eighths: int, *, keep_damaged: bool = False
) -> DecodedJpeg:
    """Decode an opened JPEG by libjpeg, at ``size``, which is its scale in eighths.

    libjpeg goes on after warnings, but the pixels are returned only with ``keep_damaged``.
    """
    colour_space, _, _, bytes_per_pixel = _PIXELS[header.mode]
    width, height = size
    minimum = {"min_width": width, "min_height": height} if eighths < FULL_SCALE else {}
    pixels, warning = None, ""
    if keep_damaged:
        pixels = bytearray(_BLANK) * (width * height * bytes_per_pixel)
    try:
        array = simplejpeg.decode_jpeg(data, colour_space, buffer=pixels, **minimum)
    except ValueError as error:
        warning = str(error)
        if pixels is None or pixels.count(_BLANK) == len(pixels):
            return DecodedJpeg(None, warning)
    return DecodedJpeg(_wrap(header, size, array if pixels is None else pixels), warning)


def _wrap(header: Image.Image, size: Size, pixels: Any) -> Image.Image:
    _, mode, raw_mode, _ = _PIXELS[header.mode]
    image = Image.frombuffer(mode, size, pixels, "raw", raw_mode, 0, 1)
    image.info = header.info
    return image
