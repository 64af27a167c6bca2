"""JPEGs, and their pixels at an eighth of their size by libjpeg and by our own decoder."""

import io

import simplejpeg
from PIL import Image

from tests.support.images import grain
from thumbmill.thumbnailer.imaging.codecs import jpeg_dc_only
from thumbmill.thumbnailer.imaging.codecs.jpeg import scaled_size

SAMPLINGS = ["4:4:4", "4:2:2", "4:2:0"]


def make_image(size, mode="RGB", seed=7):
    noise = grain((size[0] // 8 + 1, size[1] // 8 + 1), 90 + seed).resize(size)
    return Image.merge("RGB", (noise, Image.linear_gradient("L").resize(size), noise.rotate(180))).convert(mode)


def jpeg(mode="RGB", size=(403, 301), **options):
    file = io.BytesIO()
    make_image(size, mode).save(file, "JPEG", **({"quality": 90} | options))
    return file.getvalue()


def decode_by_libjpeg(data):
    """Return the pixels at an eighth, or libjpeg's first warning."""
    header = Image.open(io.BytesIO(data))
    width, height = scaled_size(header.size, 1)
    colour_space = "GRAY" if header.mode == "L" else "RGBX"
    try:
        return simplejpeg.decode_jpeg(data, colour_space, min_width=width, min_height=height).tobytes()
    except ValueError as error:
        return str(error)


def decode_dc_only(data):
    """Return the pixels at an eighth; None if they are left to libjpeg."""
    header = Image.open(io.BytesIO(data))
    width, height = scaled_size(header.size, 1)
    pixels = bytearray(width * height * (1 if header.mode == "L" else 4))
    return bytes(pixels) if jpeg_dc_only.decode(data, pixels) else None
