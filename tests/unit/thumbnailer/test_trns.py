"""A PNG without an alpha channel may declare one colour transparent, at its own bit depth."""

import struct

import pytest

from tests.support.images import opened
from tests.support.pngs import DEPTHS, GREY, RGB, write_png
from tests.unit.thumbnailer.options import make_options
from thumbmill.thumbnailer.imaging.pipeline import process_image
from thumbmill.thumbnailer.presets.model import Preset

PLAIN = make_options(Preset("plain", width=640, height=640, format="png"))


def alphas(data):
    """Return the alpha of the first row, which has all pixels of these images."""
    (variant,) = process_image(data, PLAIN).variants
    image = opened(variant.data).convert("RGBA")
    return [image.getpixel((x, 0))[3] for x in range(image.width)]


GREYS = [(depth, grey) for depth in DEPTHS[GREY] for grey in sorted({0, 1, 2**depth // 2, 2**depth - 1})]


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("depth", "grey"), GREYS)
def test_only_the_transparent_grey_is_transparent(depth, grey, interlaced):
    others = {grey - 1, grey + 1, 2**depth - 1 - grey} & set(range(2**depth)) - {grey}
    data = write_png(
        [[(grey,), *((other,) for other in others)]],
        GREY,
        depth,
        interlaced=interlaced,
        transparency=struct.pack(">H", grey),
    )
    assert alphas(data) == [0, *[255] * len(others)]


@pytest.mark.parametrize("depth", DEPTHS[RGB])
def test_the_transparent_colour_is_transparent(depth):
    most = 2**depth - 1
    colour, other = (most // 3, most - 2, most // 7), (most // 3, most - 2, most // 3)
    data = write_png([[colour, other]], RGB, depth, transparency=struct.pack(">HHH", *colour))
    assert alphas(data) == [0, 255]


def test_16_bit_grey_keeps_its_levels_besides_a_transparent_one():
    data = write_png([[(65535,), (40_000,)]], GREY, 16, transparency=struct.pack(">H", 65535))
    (variant,) = process_image(data, PLAIN).variants
    assert opened(variant.data).getpixel((1, 0)) == pytest.approx((156, 156, 156, 255), abs=1)
