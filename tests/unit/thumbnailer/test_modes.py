"""Every pixel mode that a decoder may return, and the mapping of decoder errors."""

import pytest
from PIL import Image

from tests.unit.thumbnailer.options import make_options
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.context import ProcessingContext
from thumbmill.thumbnailer.imaging.formats import map_decode_errors
from thumbmill.thumbnailer.imaging.model import UndecodableImageError
from thumbmill.thumbnailer.imaging.pipeline import PIXEL_STEPS

HALF = 128  # alpha


def apply_pixel_steps(image):
    """Apply all steps between decoding and encoding."""
    context = ProcessingContext(b"", make_options(), image, "HEIF", image.size)
    for step in PIXEL_STEPS:
        step(context)
    return context.image


def palette_with_alpha():
    image = Image.new("PA", (8, 8))
    image.putpalette([200, 100, 50])
    image.putalpha(HALF)
    return image


@pytest.mark.parametrize(
    ("image", "pixel"),
    [
        (Image.new("L", (8, 8), 90), (90, 90, 90)),
        (Image.new("1", (8, 8), 1), (255, 255, 255)),
        (Image.new("LA", (8, 8), (90, HALF)), (90, 90, 90, HALF)),
        (Image.new("La", (8, 8), (50, HALF)), (100, 100, 100, HALF)),
        (Image.new("RGBa", (8, 8), (100, 50, 25, HALF)), (199, 100, 50, HALF)),
        (Image.new("RGBX", (8, 8), (200, 100, 50, 0)), (200, 100, 50)),
        (palette_with_alpha(), (200, 100, 50, HALF)),
        (Image.new("CMYK", (8, 8), (0, 255, 255, 0)), (255, 0, 0)),
        (Image.new("YCbCr", (8, 8), (90, 128, 128)), (90, 90, 90)),
        (Image.new("I;16", (8, 8), 90 << 8), (90, 90, 90)),
    ],
    ids=lambda value: value.mode if isinstance(value, Image.Image) else "",
)
def test_pixels_of_every_mode_become_rgb(image, pixel):
    assert apply_pixel_steps(image).getpixel((3, 3)) == pytest.approx(pixel, abs=1)


@pytest.mark.parametrize("mode", ["F", "I", "HSV"])
def test_a_mode_without_display_colours_is_unsupported(mode):
    with pytest.raises(UndecodableImageError) as error:
        apply_pixel_steps(Image.new(mode, (8, 8)))
    assert error.value.code is ErrorCode.UNSUPPORTED_FORMAT
    assert error.value.detail == f"a HEIF with pixels of the mode {mode} is not supported"


@pytest.mark.parametrize(
    "error", [OSError("short"), SyntaxError("no"), ValueError("bad"), EOFError(), RuntimeError("aom")]
)
def test_decoder_errors_on_damaged_files_are_mapped(error):
    with pytest.raises(UndecodableImageError) as raised, map_decode_errors():
        raise error
    assert raised.value.code is ErrorCode.UNREADABLE_IMAGE
    assert str(error) in raised.value.cause


@pytest.mark.parametrize(
    "error", [AttributeError("x"), NameError("x"), AssertionError(), RecursionError(), MemoryError()]
)
def test_a_bug_is_not_reported_as_a_damaged_image(error):
    with pytest.raises(type(error)), map_decode_errors():
        raise error


def test_a_feature_that_a_decoder_lacks_is_unsupported():
    with pytest.raises(UndecodableImageError) as raised, map_decode_errors():
        raise NotImplementedError("layers of this kind")
    assert (raised.value.code, raised.value.detail) == (ErrorCode.UNSUPPORTED_FORMAT, "layers of this kind")
