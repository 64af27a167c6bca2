"""A variant has no more bytes than its original if possible; a larger one is encoded again."""

import io
import random
from functools import cache

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFont, ImageStat

from tests.support.images import grain, opened
from tests.unit.thumbnailer.options import make_options
from thumbmill.thumbnailer.imaging import byte_limit
from thumbmill.thumbnailer.imaging.pipeline import process_image
from thumbmill.thumbnailer.presets.model import Preset

pytestmark = pytest.mark.slow

THREE = (Preset("thumbnail", 256, 256), Preset("small", 640, 640), Preset("large", 1600, 1600))


def written(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def page(width=1654, height=2339, lines=12, size=34):
    """Return a page of text as a bilevel scan."""
    chance, image = random.Random(1), Image.new("1", (width, height), 1)
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    for line in range(lines):
        words = ("".join(chance.choices("etaoinshrdlu", k=chance.randint(2, 9))) for _ in range(9))
        draw.text((100, 100 + line * size * 3 // 2), " ".join(words), fill=0, font=font)
    return image


def drawing():
    image = Image.new("RGB", (1200, 900), "white")
    draw = ImageDraw.Draw(image)
    draw.ellipse((200, 200, 800, 800), fill=(200, 20, 20))
    draw.text((300, 400), "LOGO", fill=(20, 20, 200), font=ImageFont.load_default(200))
    return image


def photo(size=(900, 600)):
    small = (size[0] // 10, size[1] // 10)
    bands = [grain(small, 60, seed).resize(size, Image.Resampling.BICUBIC) for seed in range(3)]
    return Image.merge("RGB", bands)


def variants_of(data, *presets):
    return process_image(data, make_options(*presets)).variants


ORIGINALS = {
    "a fax": lambda: written(page(), "TIFF", compression="group4"),
    "a page in one bit": lambda: written(page(), "PNG", optimize=True),
    "a dense page": lambda: written(page(lines=44), "TIFF", compression="group4"),
    "a drawing": lambda: written(drawing().quantize(8), "PNG", optimize=True),
    "a drawing as GIF": lambda: written(drawing().quantize(8), "GIF"),
    "a photo of low quality": lambda: written(photo(), "JPEG", quality=40),
    "a photo of usual quality": lambda: written(photo(), "JPEG", quality=75),
    "a photo as WebP": lambda: written(photo(), "WEBP", quality=50),
}


@cache
def original(name):
    return ORIGINALS[name]()


@pytest.mark.parametrize("wanted", ["auto", "webp"])
@pytest.mark.parametrize("name", ORIGINALS)
def test_no_variant_is_larger_than_its_original(name, wanted):
    data = original(name)
    presets = [Preset(preset.name, preset.width, preset.height, format=wanted) for preset in THREE]
    sizes = {variant.preset: len(variant.data) for variant in variants_of(data, *presets)}
    # A bilevel page needs more bits for each pixel when it is reduced: this is the limit of the rule.
    assert max(sizes.values()) <= len(data) * (1.05 if "dense" in name else 1), (len(data), sizes)


@pytest.mark.parametrize("name", ["a photo of usual quality", "a photo of low quality"])
def test_a_jpeg_stays_a_jpeg_with_a_lower_quality(name):
    data = original(name)
    (variant,) = variants_of(data, Preset("p", width=1600, format="jpeg"))
    assert variant.content_type == "image/jpeg"
    assert len(variant.data) <= 1.1 * len(data)


@pytest.mark.parametrize("name", ["a fax", "a drawing"])
def test_the_smaller_variant_looks_like_the_original(name):
    data = original(name)
    lossless, variant = variants_of(data, Preset("exact", 1600, 1600, format="png"), Preset("p", 1600, 1600))
    assert len(variant.data) <= len(data)
    one, other = opened(lossless.data).convert("RGB"), opened(variant.data).convert("RGB")
    assert max(ImageStat.Stat(ImageChops.difference(one, other)).rms) < 25


def test_a_png_stays_lossless():
    data = written(drawing().quantize(8), "PNG", optimize=True)
    (variant,) = variants_of(data, Preset("p", width=1600, format="png"))
    assert len(variant.data) <= 1.1 * len(data)
    assert opened(variant.data).convert("RGB").tobytes() == opened(data).convert("RGB").tobytes()
    (grey,) = variants_of(written(page(), "PNG"), Preset("p", width=1000, format="png"))
    assert opened(grey.data).mode == "L"


def test_a_smaller_variant_keeps_its_alpha():
    image = drawing().convert("RGBA")
    image.putalpha(ImageChops.invert(drawing().convert("L")).point([255 * (level > 9) for level in range(256)]))
    data = written(image.quantize(8), "PNG", optimize=True)
    (variant,) = variants_of(data, Preset("p", 1600, 1600))
    assert (variant.content_type, opened(variant.data).mode) == ("image/webp", "RGBA")
    assert len(variant.data) <= len(data)


def test_encoding_within_the_limit_is_deterministic():
    data = original("a fax")
    assert variants_of(data, *THREE) == variants_of(data, *THREE)


def test_a_variant_within_the_limit_is_encoded_once(monkeypatch):
    monkeypatch.setattr(byte_limit, "_candidates", None)
    for data in (written(photo(), "JPEG", quality=95), written(Image.new("RGB", (300, 200), "red"), "PNG")):
        assert {variant.content_type for variant in variants_of(data, *THREE)} == {"image/jpeg"}


@pytest.mark.parametrize(
    "preset",
    [Preset("p", width=2000, enlarge=True), Preset("p", 1300, 1300, fit="contain", background="#123")],
    ids=["enlarged", "padded"],
)
def test_the_limit_ignores_variants_with_more_pixels_than_the_original(preset, monkeypatch):
    monkeypatch.setattr(byte_limit, "_candidates", None)
    assert variants_of(written(drawing().quantize(8), "PNG", optimize=True), preset)[0].content_type == "image/jpeg"
