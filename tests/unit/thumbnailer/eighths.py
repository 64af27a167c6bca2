"""JPEGs made on the spot, and their pixels at an eighth, by libjpeg and by us."""

import io

import simplejpeg
from PIL import Image

from tests.support.images import grain
from thumbmill.thumbnailer.imaging.codecs import jpeg_dc_only
from thumbmill.thumbnailer.imaging.codecs.jpeg import scaled_size

SAMPLINGS = ["4:4:4", "4:2:2", "4:2:0"]


def picture(size, mode="RGB", seed=7):
    noise = grain((size[0] // 8 + 1, size[1] // 8 + 1), 90 + seed).resize(size)
    return Image.merge("RGB", (noise, Image.linear_gradient("L").resize(size), noise.rotate(180))).convert(mode)


def jpeg(mode="RGB", size=(403, 301), **options):
    file = io.BytesIO()
    picture(size, mode).save(file, "JPEG", **({"quality": 90} | options))
    return file.getvalue()


def by_libjpeg(data):
    """Give the pixels at an eighth, or libjpeg's complaint."""
    header = Image.open(io.BytesIO(data))
    width, height = scaled_size(header.size, 1)
    wanted = "GRAY" if header.mode == "L" else "RGBX"
    try:
        return simplejpeg.decode_jpeg(data, wanted, min_width=width, min_height=height).tobytes()
    except ValueError as complaint:
        return str(complaint)


def by_us(data):
    """Give the pixels at an eighth; None if they are left to libjpeg."""
    header = Image.open(io.BytesIO(data))
    width, height = scaled_size(header.size, 1)
    pixels = bytearray(width * height * (1 if header.mode == "L" else 4))
    return bytes(pixels) if jpeg_dc_only.decode(data, pixels) else None
