"""A second opinion: how libvips shows a file, decoded whole and resized in one go, with none of our shortcuts."""

from dataclasses import dataclass
from io import BytesIO

import pyvips
from PIL import Image

from tests.corpora.encodings import read_encoding
from thumbmill.thumbnailer.imaging.tone_mapping import apply_encoding

Size = tuple[int, int]


class UnreadableError(Exception):
    """libvips can't read the file; the text says why."""


@dataclass(frozen=True)
class Shown:
    """A file as libvips shows it."""

    size: Size  # pixels, of the original after its orientation
    image: pyvips.Image


def show(data: bytes, size: Size) -> Shown:
    """Decode a file, turned and in sRGB, and resize it to ``size``. Raises UnreadableError.

    libvips passes over code points, gAMA and cHRM, so they are applied to its pixels afterwards, as ours are; that
    this comes to the right colours is for tests/unit/thumbnailer/test_encodings.py to show.
    """
    try:
        whole = pyvips.Image.new_from_buffer(data, "").autorot()
        small = whole.thumbnail_image(size[0], height=size[1], size="force", output_profile="srgb")
        return Shown((whole.width, whole.height), _explained(small, data).copy_memory())
    except pyvips.Error as fault:
        raise UnreadableError(str(fault).strip().splitlines()[-1].strip()) from fault


def _explained(image: pyvips.Image, data: bytes) -> pyvips.Image:
    encoding = read_encoding(data)
    if encoding is None or encoding.is_srgb:
        return image
    file = BytesIO(image.colourspace("srgb").cast("uchar").write_to_buffer(".png[strip]"))
    with Image.open(file) as plain:
        plain.load()
        explained = BytesIO()
        apply_encoding(plain, encoding).save(explained, "PNG")
    return pyvips.Image.new_from_buffer(explained.getvalue(), "")


def difference(one: bytes, other: pyvips.Image) -> float:
    """Compare a variant with a picture of the same size: the mean difference in levels of 255."""
    ours = pyvips.Image.new_from_buffer(one, "")
    return float((_weighted(ours) - _weighted(other)).abs().avg())


def _weighted(image: pyvips.Image) -> pyvips.Image:
    """Give red, green and blue as far as they are seen, and alpha."""
    rgb = image.colourspace("srgb").cast("uchar")
    if not rgb.hasalpha():
        rgb = rgb.bandjoin(255)
    return (rgb[0:3] * (rgb[3] / 255)).bandjoin(rgb[3])
