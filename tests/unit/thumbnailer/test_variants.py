"""Presets: exact sizes, cropping and padding, formats, animations, and one decode for all variants."""

import io

import pytest
from PIL import Image, ImageChops, ImageSequence, ImageStat

from tests.support.images import ORIENTATION, opened
from tests.unit.thumbnailer.options import make_options
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging import pipeline
from thumbmill.thumbnailer.imaging.geometry import compute_geometry
from thumbmill.thumbnailer.imaging.model import UndecodableImageError
from thumbmill.thumbnailer.imaging.pipeline import process_image
from thumbmill.thumbnailer.presets.model import Preset

RED, GREEN, BLUE, WHITE = (230, 20, 20), (20, 200, 20), (20, 20, 230), (255, 255, 255)
THREE = (Preset("thumbnail", 256, 256), Preset("small", 640, 640), Preset("large", 1600, 1600))


def written(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def thirds(width=900, height=300):
    """Return red, green and blue thirds from left to right."""
    image = Image.new("RGB", (width, height), GREEN)
    image.paste(RED, (0, 0, width // 3, height))
    image.paste(BLUE, (2 * width // 3, 0, width, height))
    return image


def variant_of(data, preset, **changed):
    (variant,) = process_image(data, make_options(preset, **changed)).variants
    image = opened(variant.data)
    assert image.size == (variant.width, variant.height)
    assert Image.MIME[image.format] == variant.content_type
    return image


def is_near(pixel, colour):
    return max(abs(a - b) for a, b in zip(pixel[:3], colour, strict=True)) < 20


# --- sizes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "preset", "scaled", "final", "offset"),
    [
        ((900, 300), Preset("p", 300, 300), (300, 100), (300, 100), (0, 0)),
        ((900, 300), Preset("p", width=300), (300, 100), (300, 100), (0, 0)),
        ((900, 300), Preset("p", height=150), (450, 150), (450, 150), (0, 0)),
        ((900, 300), Preset("p", 100, 100, fit="cover"), (300, 100), (100, 100), (-100, 0)),
        ((900, 300), Preset("p", 100, 100, fit="cover", gravity="west"), (300, 100), (100, 100), (0, 0)),
        ((900, 300), Preset("p", 100, 100, fit="cover", gravity="southeast"), (300, 100), (100, 100), (-200, 0)),
        ((900, 300), Preset("p", 300, 300, fit="contain"), (300, 100), (300, 300), (0, 100)),
        ((900, 300), Preset("p", 300, 300, fit="contain", gravity="north"), (300, 100), (300, 300), (0, 0)),
        ((90, 30), Preset("p", 300, 300), (90, 30), (90, 30), (0, 0)),
        ((90, 30), Preset("p", 300, 300, enlarge=True), (300, 100), (300, 100), (0, 0)),
        ((90, 30), Preset("p", 60, 60, fit="cover"), (90, 30), (60, 30), (-15, 0)),
        ((90, 30), Preset("p", 60, 60, fit="cover", enlarge=True), (180, 60), (60, 60), (-60, 0)),
        ((90, 30), Preset("p", 100, 100, fit="contain"), (90, 30), (100, 100), (5, 35)),
        ((1000, 3), Preset("p", 100, 100), (100, 1), (100, 1), (0, 0)),  # 0.3 pixels
        ((1000, 25), Preset("p", 100, 100), (100, 3), (100, 3), (0, 0)),  # 2.5 pixels
    ],
)
def test_the_geometry_of_each_fit(size, preset, scaled, final, offset):
    layout = compute_geometry(size, preset)
    assert (layout.scaled, layout.final, layout.offset) == (scaled, final, offset)


def test_a_box_applies_to_the_oriented_image():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    lying = written(thirds(), "JPEG", exif=exif)  # displayed: 300 wide, 900 high
    assert variant_of(lying, Preset("p", 100, 500)).size == (100, 300)
    high = variant_of(lying, Preset("p", 100, 200, fit="cover", gravity="north"))
    assert high.size == (100, 200)
    assert is_near(high.getpixel((50, 20)), RED)


# --- cropping and padding --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gravity", "colour"), [("west", RED), ("centre", GREEN), ("east", BLUE), ("northwest", RED), ("south", GREEN)]
)
def test_cover_keeps_the_side_of_its_gravity(gravity, colour):
    square = variant_of(written(thirds()), Preset("p", 90, 90, fit="cover", gravity=gravity))
    assert square.size == (90, 90)
    assert all(is_near(square.getpixel(place), colour) for place in ((10, 45), (45, 45), (80, 45)))


def test_contain_pads_with_the_background():
    padded = variant_of(written(thirds()), Preset("p", 300, 300, fit="contain", background="#ff8800", format="png"))
    assert padded.size == (300, 300)
    assert is_near(padded.getpixel((150, 20)), (255, 136, 0))
    assert is_near(padded.getpixel((50, 150)), RED)


def test_contain_may_pad_with_transparent_pixels():
    padded = variant_of(written(thirds()), Preset("p", 300, 300, fit="contain", background="transparent"))
    assert (padded.format, padded.mode) == ("WEBP", "RGBA")
    assert [padded.getpixel((150, y))[3] for y in (20, 150)] == [0, 255]


def test_alpha_is_flattened_onto_the_background_in_formats_without_alpha():
    transparent = thirds().convert("RGBA")
    transparent.paste((0, 0, 0, 0), (0, 0, 300, 300))
    flat = variant_of(written(transparent), Preset("p", 300, 300, format="jpeg", background="#0044ff"))
    assert is_near(flat.getpixel((50, 50)), (0, 68, 255))
    assert is_near(flat.getpixel((150, 50)), GREEN)


# --- formats ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "written_as"), [("jpeg", "JPEG"), ("webp", "WEBP"), ("avif", "AVIF"), ("png", "PNG")]
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_preset_names_its_format(wanted, written_as, mode):
    image = thirds().convert(mode)
    if mode == "RGBA":
        image.paste((0, 0, 0, 0), (0, 0, 90, 90))
    made = variant_of(written(image), Preset("p", 90, 90, format=wanted))
    assert made.format == written_as
    assert made.mode == ("RGB" if wanted == "jpeg" else mode)
    assert is_near(made.getpixel((45, 20)), GREEN)


def test_the_quality_is_that_of_the_preset():
    data = written(Image.effect_mandelbrot((400, 400), (-2, -1.5, 1, 1.5), 90).convert("RGB"), "JPEG")
    for kind in ("jpeg", "webp", "avif"):
        low, high = (
            process_image(data, make_options(Preset("p", 256, 256, quality=quality, format=kind))).variants[0].data
            for quality in (20, 90)
        )
        assert len(low) < 0.6 * len(high)


# --- several ---------------------------------------------------------------------------------------------------


def test_variants_are_in_the_order_of_the_presets():
    result = process_image(written(thirds(3000, 1500), "JPEG"), make_options(*THREE))
    assert [(made.preset, made.width, made.height) for made in result.variants] == [
        ("thumbnail", 256, 128),
        ("small", 640, 320),
        ("large", 1600, 800),
    ]


def test_an_image_is_decoded_once_for_all_variants(monkeypatch):
    decoded = []
    decode = pipeline.decode_first_frame
    steps = [
        step if step is not decode else lambda context: (decoded.append(1), decode(context))
        for step in pipeline.STEPS
    ]
    monkeypatch.setattr(pipeline, "STEPS", steps)
    process_image(written(thirds(), "JPEG"), make_options(*THREE))
    assert decoded == [1]


def test_a_variant_of_a_variant_looks_like_one_of_the_original():
    chess = Image.effect_mandelbrot((2400, 1800), (-2, -1.5, 1, 1.5), 90).convert("RGB")
    data = written(chess, "JPEG", quality=95)
    alone, among = (
        opened(process_image(data, make_options(*presets)).variants[0].data) for presets in (THREE[:1], THREE)
    )
    assert max(ImageStat.Stat(ImageChops.difference(alone, among)).rms) < 4


def test_no_variant_is_made_from_an_enlarged_one():
    tiny = thirds(90, 30)
    huge = Preset("huge", 900, 900, enlarge=True)
    result = process_image(written(tiny), make_options(huge, Preset("same", 90, 90, format="png")))
    assert [(made.width, made.height) for made in result.variants] == [(900, 300), (90, 30)]
    assert opened(result.variants[1].data).tobytes() == tiny.tobytes()


# --- animations ------------------------------------------------------------------------------------------------


def animation(kind, size=(400, 300), count=3):
    frames = [Image.new("RGB", size, colour) for colour in (RED, GREEN, BLUE)][:count]
    return written(frames[0], kind, save_all=True, append_images=frames[1:], duration=[50, 70, 90][:count], loop=0)


@pytest.mark.parametrize("object_version", ["GIF", "WEBP", "PNG", "AVIF"])
@pytest.mark.parametrize("wanted", ["auto", "webp", "avif", "png"])
def test_an_animation_may_be_kept(object_version, wanted):
    made = variant_of(animation(object_version), Preset("p", 100, 100, animated="keep", format=wanted))
    assert made.size == (100, 75)
    frames = [frame.convert("RGB").getpixel((50, 40)) for frame in ImageSequence.Iterator(made)]
    assert len(frames) == 3
    assert all(is_near(pixel, colour) for pixel, colour in zip(frames, (RED, GREEN, BLUE), strict=True))


def test_a_kept_animation_keeps_its_durations():
    made = variant_of(animation("GIF"), Preset("p", 100, 100, animated="keep", format="webp"))
    times = []
    for number in range(made.n_frames):
        made.seek(number)
        made.load()
        times.append(made.info["duration"])
    assert times == [50, 70, 90]
    assert made.info["loop"] == 0


def test_an_image_of_one_frame_is_not_an_animation():
    made = variant_of(written(thirds()), Preset("p", 100, 100, animated="keep"))
    assert (made.format, getattr(made, "n_frames", 1)) == ("JPEG", 1)


def test_an_animation_may_be_rejected():
    rejecting = Preset("p", 100, 100, animated="reject")
    with pytest.raises(UndecodableImageError, match="animation of 3 frames") as raised:
        process_image(animation("GIF"), make_options(rejecting))
    assert raised.value.code is ErrorCode.UNSUPPORTED_FORMAT
    assert variant_of(animation("GIF", count=1), rejecting).size == (100, 75)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "AVIF", "TIFF"])
def test_the_number_of_frames_is_limited(kind):
    assert process_image(animation(kind), make_options(frames=3)).details.frames == 3
    with pytest.raises(UndecodableImageError, match=r"limit of 2|more than 2") as raised:
        process_image(animation(kind), make_options(frames=2))
    assert raised.value.code is ErrorCode.IMAGE_TOO_LARGE


def test_the_pixels_of_all_kept_frames_are_limited():
    keeping = Preset("p", 100, 100, animated="keep")
    process_image(animation("GIF"), make_options(keeping, animation_pixels=3 * 400 * 300))
    with pytest.raises(UndecodableImageError, match="exceed the limit of 359999 pixels for an animation") as raised:
        process_image(animation("GIF"), make_options(keeping, animation_pixels=3 * 400 * 300 - 1))
    assert raised.value.code is ErrorCode.IMAGE_TOO_LARGE
    process_image(animation("GIF"), make_options(animation_pixels=1))  # only the first frame is decoded
