"""A PNG without an alpha channel may call one colour clear, in the numbers of its own depth."""

import struct

import pytest

from tests.support.pictures import opened
from tests.support.pngs import DEPTHS, GREY, RGB, write_png
from tests.unit.thumbnailer.options import make_options
from thumbmill.thumbnailer.imaging.pipeline import process_image
from thumbmill.thumbnailer.presets.model import Preset

PLAIN = make_options(Preset("plain", width=640, height=640, format="png"))


def alphas(data):
    """Give the alpha of the first pixels, which the pictures here have in one row."""
    (rendition,) = process_image(data, PLAIN).variants
    image = opened(rendition.data).convert("RGBA")
    return [image.getpixel((x, 0))[3] for x in range(image.width)]


GREYS = [(depth, grey) for depth in DEPTHS[GREY] for grey in sorted({0, 1, 2**depth // 2, 2**depth - 1})]


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(("depth", "grey"), GREYS)
def test_a_clear_grey_is_clear_and_its_neighbours_are_not(depth, grey, interlaced):
    others = {grey - 1, grey + 1, 2**depth - 1 - grey} & set(range(2**depth)) - {grey}
    data = write_png(
        [[(grey,), *((other,) for other in others)]],
        GREY,
        depth,
        interlaced=interlaced,
        clear=struct.pack(">H", grey),
    )
    assert alphas(data) == [0, *[255] * len(others)]


@pytest.mark.parametrize("depth", DEPTHS[RGB])
def test_a_clear_colour_is_clear(depth):
    most = 2**depth - 1
    colour, other = (most // 3, most - 2, most // 7), (most // 3, most - 2, most // 3)
    data = write_png([[colour, other]], RGB, depth, clear=struct.pack(">HHH", *colour))
    assert alphas(data) == [0, 255]


def test_sixteen_bits_of_grey_keep_their_levels_beside_a_clear_one():
    data = write_png([[(65535,), (40_000,)]], GREY, 16, clear=struct.pack(">H", 65535))
    (rendition,) = process_image(data, PLAIN).variants
    assert opened(rendition.data).getpixel((1, 0)) == pytest.approx((156, 156, 156, 255), abs=1)
