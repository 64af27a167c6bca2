"""The colours that a file hides under transparent pixels do not bleed into the edges of variants."""

import io

import pytest
from PIL import Image, ImageDraw, ImageSequence

from tests.support.images import opened
from tests.unit.thumbnailer.options import make_options
from thumbmill.thumbnailer.imaging.alpha import bleed_alpha
from thumbmill.thumbnailer.imaging.pipeline import process_image
from thumbmill.thumbnailer.presets.model import Preset

RED, BLUE, WHITE = (220, 20, 20), (0, 0, 255), (255, 255, 255)


def square(size=64, hidden=BLUE, mode="RGBA"):
    """Return a red square of half the edge, surrounded by transparent pixels."""
    image = Image.new("RGBA", (size, size), (*hidden, 0))
    image.paste((*RED, 255), (size // 4, size // 4, 3 * size // 4, 3 * size // 4))
    return image.convert(mode)


def written(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def edge_of(image):
    """Return the pixels along the inside of the square's edge, without those that scaling has made translucent."""
    image = image.convert("RGBA")
    first, last = image.width // 4 + (image.width % 4 > 0), 3 * image.width // 4 - 1
    middle = image.width // 2
    places = [(first, middle), (last, middle), (middle, first), (middle, last), (first, first), (last, last)]
    return [pixel for pixel in map(image.getpixel, places) if pixel[3] > 100]


def is_red(pixels, tolerance=10):
    return pixels and all(
        abs(one - other) <= tolerance for pixel in pixels for one, other in zip(pixel[:3], RED, strict=True)
    )


@pytest.mark.parametrize("hidden", [BLUE, WHITE, (0, 255, 0)])
@pytest.mark.parametrize("edge", [64, 48, 200], ids=["unscaled", "reduced", "enlarged"])
@pytest.mark.parametrize("wanted", ["auto", "webp", "avif", "png"])
def test_hidden_colours_do_not_bleed_into_an_edge(wanted, edge, hidden):
    preset = Preset("p", width=edge, height=edge, format=wanted, enlarge=True)
    (variant,) = process_image(written(square(hidden=hidden)), make_options(preset)).variants
    pixels = edge_of(opened(variant.data))
    assert is_red(pixels), pixels


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF", "TIFF"])
def test_hidden_colours_do_not_bleed_from_any_format(kind):
    exactly = {"WEBP": {"lossless": True, "exact": True}, "AVIF": {"quality": 100, "subsampling": "4:4:4"}}
    data = written(square(), kind, **exactly.get(kind, {}))
    (variant,) = process_image(data, make_options(Preset("p", width=64, format="webp"))).variants
    assert is_red(edge_of(opened(variant.data)))


def test_transparent_padding_does_not_bleed_into_the_image():
    red = Image.new("RGB", (64, 32), RED)
    preset = Preset("p", width=64, height=64, fit="contain", background="transparent")
    (variant,) = process_image(written(red), make_options(preset)).variants
    image = opened(variant.data).convert("RGBA")
    assert is_red([image.getpixel((32, 16)), image.getpixel((32, 47))])


@pytest.mark.parametrize("wanted", ["webp", "avif"])
def test_hidden_colours_do_not_bleed_in_any_frame(wanted):
    frames = [square(), square().rotate(180), square(hidden=WHITE)]
    data = written(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True, exact=True)
    preset = Preset("p", width=64, format=wanted, animated="keep")
    (variant,) = process_image(data, make_options(preset)).variants
    shown = [edge_of(frame) for frame in ImageSequence.Iterator(opened(variant.data))]
    assert all(is_red(pixels) for pixels in shown), shown


def test_visible_pixels_and_alpha_stay_unchanged():
    image = square(hidden=WHITE)
    ImageDraw.Draw(image).line((0, 0, 63, 63), (10, 200, 10, 90), 2)
    spread = bleed_alpha(image)
    assert spread.getchannel("A").tobytes() == image.getchannel("A").tobytes()
    for x in range(64):
        for y in range(64):
            before, after = image.getpixel((x, y)), spread.getpixel((x, y))
            assert before == after or before[3] == 0
    assert spread.getpixel((60, 3))[2] < 60, "also far from visible pixels"


@pytest.mark.parametrize("alpha", [0, 3, 255])
def test_an_image_without_an_edge_is_unchanged(alpha):
    image = Image.new("RGBA", (30, 20), (*BLUE, alpha))
    assert bleed_alpha(image) is image
