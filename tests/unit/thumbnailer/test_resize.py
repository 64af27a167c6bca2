"""Scaling returns Pillow's Lanczos, with and without the library."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from tests.support.images import grain
from thumbmill.thumbnailer.imaging import resize
from thumbmill.thumbnailer.imaging.resize import scale

LANCZOS = Image.Resampling.LANCZOS


def noise(mode, size=(360, 270)):
    levels = [grain((size[0] // 6, size[1] // 6), 60 + band).resize(size) for band in range(4)]
    return Image.merge(mode, levels[: len(Image.getmodebands(mode) * [0])])


def furthest(one, other):
    extremes = ImageChops.difference(one, other).getextrema()
    return max(high for _, high in (extremes if isinstance(extremes[0], tuple) else [extremes]))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "RGBa", "YCbCr"])
@pytest.mark.parametrize("size", [(256, 192), (180, 135), (125, 270), (360, 90), (1, 1), (720, 540)])
def test_scaling_gives_the_pixels_of_pillow(mode, size):
    image = noise(mode)
    assert furthest(scale(image, size), image.resize(size, LANCZOS, reducing_gap=3)) <= 8


@pytest.mark.parametrize("box", [(0, 0, 180, 135), (90.5, 0, 270.25, 270), (0, 134.75, 360, 270)])
def test_a_box_is_scaled_without_its_surroundings(box):
    image = noise("RGB")
    assert furthest(scale(image, (90, 70), box), image.resize((90, 70), LANCZOS, box=box)) <= 8


def test_transparent_pixels_do_not_bleed_while_scaling():
    image = Image.new("RGBA", (200, 200), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 101, 200))
    edge = scale(image, (50, 50)).crop((25, 0, 26, 50))
    assert all(red <= 2 and blue >= 250 for red, _, blue, alpha in edge.get_flattened_data() if alpha > 20)


def test_scaling_keeps_the_info_of_an_image():
    image = noise("RGB")
    image.info["icc_profile"] = b"a profile"
    assert scale(image, (20, 15)).info["icc_profile"] == b"a profile"


def test_scaling_to_the_same_size_copies_the_image():
    image = noise("RGB")
    copy = scale(image, image.size)
    assert copy is not image
    assert copy == image


def test_pillow_scales_without_the_library(monkeypatch):
    monkeypatch.setattr(resize, "fast", None)
    image = noise("RGB")
    assert scale(image, (100, 75)) == image.resize((100, 75), LANCZOS, reducing_gap=3)


@settings(max_examples=300, deadline=None)
@given(
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    wanted=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    cut=st.tuples(*[st.floats(0, 0.9)] * 2, *[st.floats(0.1, 1)] * 2),
)
def test_any_box_can_be_scaled_to_any_size(size, wanted, cut):
    left, top = cut[0] * size[0], cut[1] * size[1]
    box = left, top, left + cut[2] * (size[0] - left), top + cut[3] * (size[1] - top)
    grey = Image.new("RGB", size, (90, 120, 150))
    assert scale(grey, wanted, box).getcolors() == [(wanted[0] * wanted[1], (90, 120, 150))]
