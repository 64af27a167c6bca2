"""Images of every size, mode, format and orientation: sizes follow the preset, bytes are deterministic."""

import io
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.images import ORIENTATION, opened
from tests.unit.thumbnailer.options import make_options
from thumbmill.thumbnailer.imaging.pipeline import process_image

WRITABLE = {
    "JPEG": ["L", "RGB", "CMYK"],
    "PNG": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    "GIF": ["L", "P", "RGB"],
    "WEBP": ["RGB", "RGBA"],
    "BMP": ["1", "L", "P", "RGB"],
    "TIFF": ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I;16B"],
}
TURNABLE = {"JPEG", "PNG", "WEBP", "TIFF"}


def written(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def plain(mode, size, level=255):
    if mode.startswith("I;16"):
        return Image.frombytes(
            mode, size, (level * 257).to_bytes(2, "big" if mode.endswith("B") else "little") * size[0] * size[1]
        )
    image = Image.new("RGB", size, (level,) * 3)
    if mode == "PA":
        return image.convert("P").convert("PA")
    if mode == "LAB":
        return Image.new("LAB", size, (level, 128, 128))
    return image.convert(mode)


edges = st.one_of(st.integers(1, 40), st.integers(200, 700), st.integers(1000, 3000))


@settings(max_examples=120, deadline=None)
@given(
    case=st.sampled_from([(kind, mode) for kind, modes in WRITABLE.items() for mode in modes]),
    width=edges,
    height=st.one_of(st.integers(1, 40), st.integers(200, 700)),
    orientation=st.integers(1, 8),
)
def test_the_size_follows_the_preset_and_the_bytes_are_deterministic(case, width, height, orientation):
    kind, mode = case
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    turned = kind in TURNABLE and orientation >= 5
    data = written(plain(mode, (width, height)), kind, **({"exif": exif} if kind in TURNABLE else {}))
    result = process_image(data, make_options())
    shown = (height, width) if turned else (width, height)
    assert (result.width, result.height) == shown
    (variant,) = result.variants
    image = opened(variant.data)
    scale = min(1, 256 / max(shown))
    # Half a pixel is rounded up, unlike by round().
    size = tuple(max(1, math.floor(edge * scale + 0.5)) for edge in shown)
    assert image.size == (variant.width, variant.height) == size
    assert process_image(data, make_options()) == result


@pytest.mark.parametrize("level", [255, 100, 0])
@pytest.mark.parametrize(
    ("kind", "mode"), [(kind, mode) for kind, modes in WRITABLE.items() for mode in modes if mode != "LAB"]
)
def test_a_grey_keeps_its_level(kind, mode, level):
    level = 255 * (level > 127) if mode == "1" else level
    data = written(plain(mode, (400, 300), level), kind)
    (variant,) = process_image(data, make_options()).variants
    assert opened(variant.data).convert("RGB").getpixel((99, 99)) == pytest.approx((level,) * 3, abs=4)


@pytest.mark.parametrize("mode", ["I;16", "I;16B"])
def test_16_bits_become_8_without_banding(mode):
    levels = b"".join((n * 256).to_bytes(2, "big" if mode.endswith("B") else "little") for n in range(256))
    data = written(Image.frombytes(mode, (256, 200), levels * 200), "TIFF")
    (variant,) = process_image(data, make_options()).variants
    row = [opened(variant.data).convert("L").getpixel((x, 100)) for x in range(256)]
    assert row == pytest.approx(list(range(256)), abs=4)


def test_a_first_frame_smaller_than_its_canvas_keeps_its_position():
    whole = Image.new("RGBA", (400, 300), (0, 0, 0, 0))
    whole.paste((255, 0, 0, 255), (200, 150, 400, 300))
    other = Image.new("RGBA", (400, 300), (0, 0, 255, 255))
    for kind in ("GIF", "WEBP", "PNG"):
        data = written(whole, kind, save_all=True, append_images=[other], disposal=2, duration=50)
        (variant,) = process_image(data, make_options()).variants
        image = opened(variant.data)
        assert image.getpixel((40, 40))[3] == 0, kind
        red, _, blue, alpha = image.getpixel((200, 150))
        assert (alpha, red > 200, blue < 50) == (255, True, True), kind
