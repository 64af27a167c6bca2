"""Rendering by libvips as a reference: decoded at full size and resized in one step."""

from dataclasses import dataclass
from io import BytesIO

import pyvips
from PIL import Image

from tests.corpora.encodings import read_encoding
from thumbmill.thumbnailer.imaging.tone_mapping import apply_encoding

Size = tuple[int, int]


class UnreadableError(Exception):
    """libvips cannot read the file. The text has the reason."""


@dataclass(frozen=True)
class Rendered:
    """A file, rendered by libvips."""

    size: Size  # pixels of the original, after its orientation
    image: pyvips.Image


def render(data: bytes, size: Size) -> Rendered:
    """Decode a file, apply its orientation, convert it to sRGB and resize it to ``size``. Raise UnreadableError.

    libvips ignores code points, gAMA and cHRM, so the code under test applies them to its pixels. That the colours
    are right is shown by tests/unit/thumbnailer/test_encodings.py.
    """
    try:
        whole = pyvips.Image.new_from_buffer(data, "").autorot()
        small = whole.thumbnail_image(size[0], height=size[1], size="force", output_profile="srgb")
        return Rendered((whole.width, whole.height), _apply_encoding(small, data).copy_memory())
    except pyvips.Error as error:
        raise UnreadableError(str(error).strip().splitlines()[-1].strip()) from error


def _apply_encoding(image: pyvips.Image, data: bytes) -> pyvips.Image:
    encoding = read_encoding(data)
    if encoding is None or encoding.is_srgb:
        return image
    file = BytesIO(image.colourspace("srgb").cast("uchar").write_to_buffer(".png[strip]"))
    with Image.open(file) as plain:
        plain.load()
        encoded = BytesIO()
        apply_encoding(plain, encoding).save(encoded, "PNG")
    return pyvips.Image.new_from_buffer(encoded.getvalue(), "")


def difference(one: bytes, other: pyvips.Image) -> float:
    """Return the mean difference of a variant from an image of the same size, in levels of 255."""
    variant = pyvips.Image.new_from_buffer(one, "")
    return float((_weighted(variant) - _weighted(other)).abs().avg())


def _weighted(image: pyvips.Image) -> pyvips.Image:
    """Return red, green and blue, weighted by alpha, and alpha."""
    rgb = image.colourspace("srgb").cast("uchar")
    if not rgb.hasalpha():
        rgb = rgb.bandjoin(255)
    return (rgb[0:3] * (rgb[3] / 255)).bandjoin(rgb[3])
