"""Properties of every image and every preset, tested with the same examples in each run."""

from dataclasses import dataclass, replace
from fractions import Fraction
from io import BytesIO

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as some
from PIL import Image

from tests.support.images import ORIENTATION, opened
from tests.support.profiles import DISPLAY_P3, rgb_profile
from tests.unit.thumbnailer.options import make_options
from thumbmill.thumbnailer.imaging.pipeline import process_image
from thumbmill.thumbnailer.presets.model import Preset

pytestmark = pytest.mark.slow

# Deadlines would fail on a busy machine, and random examples would fail for others.
often = settings(
    max_examples=150,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

MODES = {
    "JPEG": ["L", "RGB", "CMYK"],
    "PNG": ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"],
    "WEBP": ["RGB", "RGBA"],
    "GIF": ["L", "P"],
    "TIFF": ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"],
    "BMP": ["1", "L", "P", "RGB"],
    "AVIF": ["RGB", "RGBA"],
    "HEIF": ["L", "RGB", "RGBA"],
}
OPTIONS = {"AVIF": {"speed": 10}, "JPEG": {"quality": 95}, "WEBP": {"quality": 95}}
ORIENTABLE = {"JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"}
SECRET = "Do not publish this"
MAX_EDGE = 16383  # pixels: the longest edge of a WebP, and so of any variant
MIME = {"jpeg": "image/jpeg", "webp": "image/webp", "avif": "image/avif", "png": "image/png"}

# Where the quarters red, green / blue, white are displayed, by EXIF orientation (its table 4.4.2).
SHOWN = {1: "rgbw", 2: "grwb", 3: "wbgr", 4: "bwrg", 5: "rbgw", 6: "brwg", 7: "wgbr", 8: "gwrb"}
COLOURS = {"r": (220, 30, 30), "g": (30, 180, 30), "b": (30, 30, 220), "w": (250, 250, 250)}


@dataclass(frozen=True)
class Original:
    """An image as it is stored, and its orientation."""

    kind: str
    mode: str
    width: int
    height: int
    orientation: int
    progressive: bool = False

    @property
    def shown(self):
        size = (self.width, self.height)
        return size[::-1] if self.orientation >= 5 else size

    def write(self):
        """Encode it with all metadata that its format supports, and a secret in each."""
        exif = Image.Exif()
        exif[0x010E], exif[0x9286] = SECRET, SECRET.encode()  # description, comment
        if self.orientation != 1:
            exif[ORIENTATION] = self.orientation
        options = {"exif": exif.tobytes()} if self.kind in ORIENTABLE else {}
        if self.kind in {"JPEG", "WEBP"}:
            options["xmp"] = f"<x>{SECRET}</x>".encode()
        if self.kind in {"JPEG", "GIF"}:
            options["comment"] = SECRET.encode()
        if self.kind in {"JPEG", "PNG", "WEBP", "TIFF"} and self.mode in {"RGB", "RGBA"}:
            options["icc_profile"] = rgb_profile(DISPLAY_P3)
        if self.kind == "JPEG":
            options["progressive"] = self.progressive
        file = BytesIO()
        quarters(self.width, self.height, self.mode).save(file, self.kind, **OPTIONS.get(self.kind, {}), **options)
        return file.getvalue()


def quarters(width, height, mode):
    image = Image.new("RGB", (width, height), COLOURS["w"])
    image.paste(COLOURS["r"], (0, 0, width // 2, height // 2))
    image.paste(COLOURS["g"], (width // 2, 0, width, height // 2))
    image.paste(COLOURS["b"], (0, height // 2, width // 2, height))
    if mode == "I;16":
        return Image.frombytes("I;16", image.size, b"".join(bytes((v, v)) for v in image.convert("L").tobytes()))
    image = image.convert("RGBA" if mode.endswith("A") else "RGB")
    if mode.endswith("A"):
        image.putpixel((0, 0), (9, 9, 9, 0))  # not opaque
    return image.convert(mode)


@some.composite
def originals(draw, kinds=tuple(MODES)):
    kind = draw(some.sampled_from(kinds))
    # Mostly small, some long and thin.
    long, short = draw(some.integers(1, 300)), draw(some.integers(1, 300) | some.integers(1, 4))
    width, height = draw(some.permutations([long, short]))
    return Original(
        kind=kind,
        mode=draw(some.sampled_from(MODES[kind])),
        width=width,
        height=height,
        orientation=draw(some.integers(1, 8)) if kind in ORIENTABLE else 1,
        progressive=draw(some.booleans()),
    )


@some.composite
def presets(draw, fits=("inside", "cover", "contain")):
    fit = draw(some.sampled_from(fits))
    edges = [draw(some.integers(1, 200)), draw(some.integers(1, 200))]
    if fit == "inside" and draw(some.booleans()):
        edges[draw(some.integers(0, 1))] = None
    gravities = ["centre", "north", "northeast", "east", "southeast", "south", "southwest", "west", "northwest"]
    return Preset(
        "it",
        *edges,
        fit=fit,
        gravity=draw(some.sampled_from(gravities)),
        quality=draw(some.integers(1, 100)),
        format=draw(some.sampled_from(["auto", *MIME])),
        background=draw(some.sampled_from(["#ffffff", "#102030", "transparent"])),
        enlarge=draw(some.booleans()),
    )


# --- the rule, implemented a second time ------------------------------------------------------------------------


def expected_scale(size, preset):
    """Return the factor by which an image is reduced or enlarged."""
    box = (preset.width or MAX_EDGE, preset.height or MAX_EDGE)
    factors = [Fraction(edge, given) for edge, given in zip(box, size, strict=True)]
    factor = max(factors) if preset.fit == "cover" else min(factors)
    return factor if preset.enlarge else min(factor, Fraction(1))


def expected_whole(size, preset):
    """Return the size of the whole image, before it is cropped or padded."""
    scale = expected_scale(size, preset)
    return tuple(max(1, int(edge * scale + Fraction(1, 2))) for edge in size)


def expected_size(size, preset):
    """Return the size of a variant."""
    box, whole = (preset.width, preset.height), expected_whole(size, preset)
    if preset.fit == "contain":
        return box
    if preset.fit == "cover":
        return tuple(min(edge, most) for edge, most in zip(whole, box, strict=True))
    return whole


@pytest.mark.parametrize(
    ("size", "preset", "expected"),
    [
        ((4000, 3000), Preset("it", 256, 256), (256, 192)),
        ((4000, 3000), Preset("it", 256, 256, fit="cover"), (256, 256)),
        ((4000, 3000), Preset("it", 256, 256, fit="contain"), (256, 256)),
        ((4000, 3000), Preset("it", None, 300), (400, 300)),
        ((40, 30), Preset("it", 256, 256), (40, 30)),
        ((40, 30), Preset("it", 80, 80, enlarge=True), (80, 60)),
        ((40, 30), Preset("it", 20, 80, fit="cover"), (20, 30)),
    ],
)
def test_the_reference_rule_gives_the_expected_sizes(size, preset, expected):
    assert expected_size(size, preset) == expected


@pytest.mark.parametrize("enlarge", [True, False])
@pytest.mark.parametrize("size", [(20_000, 30), (2_000, 1)])
def test_an_edge_that_the_preset_leaves_open_is_limited(size, enlarge):
    file = BytesIO()
    Image.new("RGBA", size, (1, 2, 3, 4)).save(file, "PNG")
    preset = Preset("it", height=30, enlarge=enlarge)
    (variant,) = process_image(file.getvalue(), make_options(preset)).variants
    assert (variant.width, variant.height) == expected_size(size, preset)
    assert variant.width == (2_000 if not enlarge and size[0] == 2_000 else MAX_EDGE)


# --- the properties ---------------------------------------------------------------------------------------------


@often
@given(originals(), presets())
def test_a_variant_has_exactly_the_size_of_the_rule_and_contains_nothing_but_pixels(original, preset):
    data = original.write()
    assert SECRET.encode() in data or original.kind == "BMP"
    result = process_image(data, make_options(preset))
    (variant,) = result.variants
    assert (result.format, result.width, result.height) == (original.kind, *original.shown)
    assert (variant.width, variant.height) == expected_size(original.shown, preset)
    image = opened(variant.data)
    assert image.size == (variant.width, variant.height)
    assert Image.MIME[image.format] == variant.content_type == MIME.get(preset.format, variant.content_type)
    for trace in (SECRET.encode(), b"Exif", b"ICC_PROFILE", b"ICCP", b"iCCP", b"acsp"):
        assert trace not in variant.data
    assert not image.getexif()
    assert not {"exif", "xmp", "comment", "icc_profile"} & image.info.keys()


@often
@given(some.tuples(some.integers(1, 150), some.integers(1, 150)), presets(fits=["contain"]))
def test_padding_surrounds_the_whole_image_by_its_gravity(size, preset):
    file = BytesIO()
    Image.new("RGB", size, (0, 0, 0)).save(file, "PNG")
    (variant,) = process_image(
        file.getvalue(), make_options(replace(preset, format="png", background="#ffffff"))
    ).variants
    found = opened(variant.data).convert("L").point(lambda level: 255 - level).getbbox()
    width, height = expected_whole(size, preset)
    spare = (preset.width - width, preset.height - height)
    across = 0 if "west" in preset.gravity else 2 if "east" in preset.gravity else 1
    down = 0 if "north" in preset.gravity else 2 if "south" in preset.gravity else 1
    left, top = spare[0] * across // 2, spare[1] * down // 2
    assert found == (left, top, left + width, top + height)


@often
@given(originals(kinds=sorted(ORIENTABLE)), some.sampled_from(["jpeg", "webp", "avif", "png"]))
def test_an_image_is_rotated_by_its_orientation(original, kind):
    assume(min(original.width, original.height) >= 32)
    original = replace(original, mode="RGB")
    preset = Preset("it", 64, 64, quality=95, format=kind)
    (variant,) = process_image(original.write(), make_options(preset)).variants
    assume(min(variant.width, variant.height) >= 16)
    assert corners(opened(variant.data)) == SHOWN[original.orientation]


def corners(image):
    """Return the names of the colours of the four quarters."""
    image = image.convert("RGB")
    places = [(x * image.width // 4, y * image.height // 4) for y in (1, 3) for x in (1, 3)]
    return "".join(name_of(image.getpixel(place)) for place in places)


def name_of(pixel):
    return min(COLOURS, key=lambda name: sum((a - b) ** 2 for a, b in zip(COLOURS[name], pixel, strict=True)))


@often
@given(originals(), some.lists(presets(), min_size=2, max_size=2))
def test_the_same_original_and_presets_give_the_same_bytes(original, chosen):
    named = [replace(preset, name=f"p{number}") for number, preset in enumerate(chosen)]
    data = original.write()
    first, second = (process_image(data, make_options(*named)) for _ in range(2))
    assert first == second
    assert [variant.preset for variant in first.variants] == [preset.name for preset in named]
    for variant, preset in zip(first.variants, named, strict=True):
        assert (variant.width, variant.height) == expected_size(original.shown, preset)
