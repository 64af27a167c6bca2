"""A visibly damaged file is never DONE, and an intact one is never rejected, however unusual or grey it is."""

import contextlib
import io
import random
import re
from functools import cache, lru_cache

import pytest
import simplejpeg
from PIL import Image, ImageChops, ImageFile, ImageStat

from tests.support.images import opened
from tests.unit.thumbnailer.jpegs import make_image
from tests.unit.thumbnailer.options import make_options
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.codecs.jpeg import decode
from thumbmill.thumbnailer.imaging.codecs.jpeg_segments import read_segments
from thumbmill.thumbnailer.imaging.formats import open_image
from thumbmill.thumbnailer.imaging.model import UndecodableImageError
from thumbmill.thumbnailer.imaging.pipeline import process_image
from thumbmill.thumbnailer.presets.model import Preset

GREY, RED, SKY = (128, 128, 128), (200, 30, 20), (90, 140, 220)
END = b"\xff\xd9"
FULL_SIZE = Preset("full", width=10_000)  # no scan is skipped


def noise(mode="RGB", size=(700, 500)):
    chance = random.Random(1)  # fixed: whether flipped bytes are visible depends on the image
    bands = [Image.frombytes("L", size, chance.randbytes(size[0] * size[1])) for _ in range(3)]
    return Image.merge("RGB", bands).convert(mode)


def photograph():
    return make_image((480, 360))


def written(image, kind="JPEG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@cache
def noisy(mode="RGB", size=(700, 500), kind="JPEG", **options):
    return written(noise(mode, size), kind, **options)


@lru_cache(64)
def make(data, **kept):
    return process_image(data, make_options(FULL_SIZE, **kept))


def rejected(data):
    with pytest.raises(UndecodableImageError) as raised:
        make(data)
    return raised.value.code is ErrorCode.UNREADABLE_IMAGE


def first_scan(data):
    """Return where the data of the first scan begin."""
    at = data.index(b"\xff\xda")
    return at + 2 + int.from_bytes(data[at + 2 : at + 4])


def truncate(data, part):
    start = first_scan(data)
    return data[: start + int((len(data) - start) * part)].rstrip(b"\xff")


BASELINE = [
    ("RGB", {}),
    ("L", {}),
    ("CMYK", {}),
    ("RGB", {"subsampling": "4:4:4"}),
    ("RGB", {"restart_marker_rows": 1}),
    ("RGB", {"restart_marker_blocks": 7}),
]
JPEG_KINDS = [*BASELINE, ("RGB", {"progressive": True}), ("L", {"progressive": True})]
all_jpeg_kinds = pytest.mark.parametrize(
    "data", [noisy(mode, **options) for mode, options in JPEG_KINDS], ids=map(str, JPEG_KINDS)
)


# --- damaged ---------------------------------------------------------------------------------------------------


@all_jpeg_kinds
@pytest.mark.parametrize("part", [0.0, 0.2, 0.6])
@pytest.mark.parametrize("end", [b"", END])
def test_truncated_data_are_detected(data, part, end):
    assert rejected(truncate(data, part) + end)


@pytest.mark.parametrize("options", [options for mode, options in BASELINE if mode == "RGB"], ids=str)
@pytest.mark.parametrize("end", [b"", END])
def test_more_than_a_few_missing_blocks_are_detected(options, end):
    assert rejected(truncate(noisy(**options), 0.98) + end)


@pytest.mark.parametrize("damage", ["flip a bit", "lose a byte", "lose bytes", "gain bytes"])
def test_damage_that_shifts_blocks_does_not_count_as_a_few_missing_blocks(damage):
    """Huffman codes resynchronize, and a few blocks too few or too many remain at the end."""
    chance, data = random.Random(3), written(photograph(), quality=85)
    warnings = 0
    for _ in range(60):
        at, damaged_data = chance.randrange(first_scan(data), len(data) - 40), bytearray(data)
        match damage:
            case "flip a bit":
                damaged_data[at] ^= 1 << chance.randrange(8)
            case "gain bytes":
                damaged_data[at:at] = chance.randbytes(8).replace(b"\xff", b"\1")
            case _:
                del damaged_data[at : at + (1 if damage == "lose a byte" else 20)]
        if decode(open_image(bytes(damaged_data)), bytes(damaged_data), photograph().size, 8).warning:
            warnings += 1
            assert rejected(bytes(damaged_data))
    assert warnings > 10


@all_jpeg_kinds
def test_missing_data_in_the_middle_are_detected(data):
    assert rejected(truncate(data, 0.4) + data[len(truncate(data, 0.5)) :])


@all_jpeg_kinds
def test_a_block_of_zeros_is_detected(data):
    at = len(truncate(data, 0.5))
    assert rejected(data[:at] + bytes(4096) + data[at + 4096 :])


@all_jpeg_kinds
@pytest.mark.parametrize("seed", range(5))
def test_flipped_bytes_are_detected(data, seed):
    chance, flipped = random.Random(seed), bytearray(data)
    for _ in range(200):
        flipped[chance.randrange(first_scan(data), len(data) - 2)] ^= 0xFF
    assert rejected(bytes(flipped))


@all_jpeg_kinds
@pytest.mark.parametrize(("field", "factor"), [(5, 2), (5, 0.5), (7, 2), (7, 0.9)], ids=str)
def test_a_wrong_size_in_the_header_is_detected(data, field, factor):
    at = re.search(rb"\xff[\xc0\xc2]\0[\x0b\x11\x14]", data).start() + field
    size = int(int.from_bytes(data[at : at + 2]) * factor)
    assert rejected(data[:at] + size.to_bytes(2) + data[at + 2 :])


@all_jpeg_kinds
def test_a_stray_marker_in_the_data_is_detected(data):
    start = truncate(data, 0.5)
    assert rejected(start + b"\xff\xf3" + data[len(start) + 2 :])


@pytest.mark.parametrize("lost", [1, 3, 8])
def test_lost_restart_intervals_are_detected(lost):
    data = noisy(restart_marker_rows=1)
    ends = [found.end() for found in re.finditer(rb"\xff[\xd0-\xd7]", data[first_scan(data) :])]
    first, last = (first_scan(data) + ends[at] for at in (5, 5 + lost))
    assert rejected(data[:first] + data[last:])


def test_restart_markers_in_the_wrong_order_are_detected():
    data = noisy(restart_marker_rows=1)
    assert rejected(data.replace(b"\xff\xd2", b"\xff\xd5", 1))


def test_missing_scans_are_detected():
    """libjpeg does not warn: the image is only blurred."""
    data = noisy(progressive=True)
    scans = [found.start() for found in re.finditer(b"\xff\xda", data)]
    assert len(scans) == 10
    assert all(rejected(data[:start] + END) for start in scans[1:])


# --- intact ----------------------------------------------------------------------------------------------------


@all_jpeg_kinds
@pytest.mark.parametrize("trailer", [b"a video \xff\xda\xff\xd9" * 90, bytes(5000), b"\xff\xd8\xff", b"\xff" * 9])
def test_data_behind_the_end_are_ignored(data, trailer):
    assert not make(data + trailer).damaged


@all_jpeg_kinds
@pytest.mark.parametrize("surplus", [b"\x01", b"abc", bytes(300), b"\xff" * 20])
def test_fill_bytes_before_the_end_are_not_damage(data, surplus):
    assert make(data[:-2] + surplus + END).variants == make(data).variants


@pytest.mark.parametrize(("mode", "options"), [way for way in BASELINE if way[0] != "CMYK"], ids=str)
@pytest.mark.parametrize("junk", [b"sixteen bytes it", b"\xa5" * 200, b"of a webcam's last image" * 10])
def test_junk_before_the_end_is_not_damage(mode, options, junk):
    data = noisy(mode, **options)
    assert make(data[:-2] + junk + END).variants == make(data).variants
    assert not make(data[:-2] + junk + END).damaged


@all_jpeg_kinds
def test_a_sector_of_junk_before_the_end_is_damage(data):
    assert rejected(data[:-2] + bytes(600) + END)


@pytest.mark.parametrize("surplus", [b"\x01", b"abc"])
def test_a_few_surplus_bytes_before_a_restart_marker_are_not_damage(surplus):
    data = noisy(restart_marker_rows=1)
    odd = re.sub(rb"(\xff[\xd0-\xd7])", lambda marker: surplus + marker[0], data[first_scan(data) :])
    assert make(data[: first_scan(data)] + odd).variants == make(data).variants
    assert rejected(data[: first_scan(data)] + odd.replace(surplus, surplus * 20, 2))


SEQUENTIAL = pytest.mark.parametrize(("mode", "options"), BASELINE, ids=str)


@SEQUENTIAL
def test_a_sequential_scan_may_declare_any_spectral_selection(mode, options):
    """Samsung's phones write zeros, where T.81 requires 0, 63, 0."""
    data = noisy(mode, **options)
    start = first_scan(data)
    odd = data[: start - 3] + bytes(3) + data[start:]
    assert make(odd) == make(data)
    assert rejected(truncate(odd, 0.9) + END)


@SEQUENTIAL
@pytest.mark.parametrize("transform", [3, 7, 255])
def test_fields_without_a_meaning_are_not_damage(mode, options, transform):
    data = noisy(mode, **options)
    usual, odd = (
        b"\xff\xd8\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes((number,))
        for number in (2 if mode == "CMYK" else 1, transform)
    )
    rest = b"".join(data[part.start : part.end] for part in read_segments(data) if part.marker not in {0xE0, 0xEE})
    assert make(odd + rest + END) == make(usual + rest + END)
    versions = [data.replace(b"JFIF\0\x01", b"JFIF\0" + version) for version in (b"\x01", b"\x02")]
    assert make(versions[0]) == make(versions[1])


@all_jpeg_kinds
@pytest.mark.parametrize("left", [0, 1])
def test_a_missing_end_marker_is_not_damage(data, left):
    assert make(data[: len(data) - 2 + left]).variants == make(data).variants


@all_jpeg_kinds
@pytest.mark.parametrize(
    "junk",
    [
        b"\xff\xe5\x00\x0abytes, ab",
        b"\xff\xe2\x00\x14ICC_PROFILE\0\x09\x02junk",
        b"\xff\xfe\x00\x05\xff\xd9\xff",
        b"\x00\x00\x00",
        b"\xff\xff\xff",
        b"\xff\x00\xff\x00",
        b"\xff\xe1\x00\x20" + written(Image.new("RGB", (8, 8), GREY))[:30] + b"and more than it has",
    ],
)
def test_junk_in_the_header_is_not_damage_and_hides_none(data, junk):
    at = data.index(b"\xff\xdb")
    odd = data[:at] + junk + data[at:]
    assert make(odd).variants == make(data).variants
    assert rejected(truncate(odd, 0.9) + END)


@pytest.mark.parametrize(("mode", "options"), JPEG_KINDS, ids=str)
def test_a_grey_image_is_intact(mode, options):
    image = noise()
    image.paste(GREY, (0, 100, *image.size))
    for sound in (image, Image.new("RGB", (1300, 900), GREY), Image.new("RGB", (5, 5), GREY)):
        assert not make(written(sound.convert(mode), **options)).damaged


def test_an_mpo_of_a_camera_is_intact():
    file = io.BytesIO()
    noise().save(file, "MPO", save_all=True, append_images=[Image.new("RGB", (640, 480), GREY), noise("L")])
    assert not make(file.getvalue()).damaged
    assert not make(truncate(file.getvalue(), 0.99)).damaged  # only the first image is decoded


@pytest.mark.parametrize("sampling", ["444", "422", "420", "440", "411"])
def test_every_chroma_subsampling_is_decoded(sampling):
    image = Image.new("RGB", (160, 120), RED)
    pixels = memoryview(image.tobytes()).cast("B", (120, 160, 3))
    data = simplejpeg.encode_jpeg(pixels, colorsubsampling=sampling)
    (variant,) = make(data).variants
    assert ImageStat.Stat(Image.open(io.BytesIO(variant.data))).mean == pytest.approx(RED, abs=3)
    assert rejected(truncate(data, 0.5) + END)


@all_jpeg_kinds
@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_the_pixels_are_the_same_as_pillow_s(data, scale):
    header, by_pillow = (open_image(data) for _ in range(2))
    for image in (header, by_pillow):
        image.draft(None, (700 // scale, 500 // scale))
    decoded = decode(header, data, header.size, 8 // scale).image
    assert decoded.convert(header.mode).tobytes() == by_pillow.tobytes()


def test_tiny_images_are_decoded_at_full_scale():
    for edge in range(1, 18):
        data = noisy(size=(edge, 2 * edge))
        decoded = decode(open_image(data), data, open_image(data).size, 8).image
        assert decoded.convert("RGB").tobytes() == Image.open(io.BytesIO(data)).tobytes()


# --- invisible damage ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [options for mode, options in BASELINE if mode == "RGB"], ids=str)
@pytest.mark.parametrize("lost", [1, 2, 5, 12, 20])
@pytest.mark.parametrize("end", [b"", END])
def test_a_file_without_its_last_bytes_is_decoded_and_marked_as_damaged(options, lost, end):
    data = noisy(size=(480, 360), quality=85, **options)
    short = make(data[: -2 - lost].rstrip(b"\xff") + end)
    assert short.damaged
    whole, shown = (opened(result.variants[0].data) for result in (make(data), short))
    box = ImageChops.difference(whole, shown).point(lambda level: 255 * (level > 16)).getbbox()
    left, upper, *_ = box or whole.size
    assert left >= whole.width - 16 * 7 - 8
    assert upper >= whole.height - 16 - 8


def test_a_small_image_must_have_all_its_blocks():
    data = written(photograph().resize((48, 48)), quality=85)
    assert rejected(data[:-8])


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_file_that_ends_in_its_last_refinement_scan_is_decoded_and_marked_as_damaged(mode):
    data = noisy(mode, progressive=True)
    last = data.rindex(b"\xff\xda")
    for length in (last + 20, len(data) - 200, len(data) - 3):
        assert make(data[:length].rstrip(b"\xff")).damaged
        assert rejected(data[:length].rstrip(b"\xff") + END)  # more than the end is missing
    assert rejected(data[: last - 20])
    assert make(data[:-2] + b"junk before the end" + END).damaged


# --- damaged images that are kept ------------------------------------------------------------------------------


def halves(data, **kept):
    """Return whether an image is damaged, and the middle colours of the two halves of its variant."""
    result = make(data, **kept)
    shown = Image.open(io.BytesIO(result.variants[0].data)).convert("RGB")
    width, height = shown.size
    return result.damaged, [shown.getpixel((width // 2, y)) for y in (height // 10, height * 9 // 10)]


@pytest.mark.parametrize(
    ("kind", "options", "left"),
    [
        ("JPEG", {"quality": 95}, GREY),
        ("JPEG", {"quality": 95, "restart_marker_rows": 1}, GREY),
        ("PNG", {}, (0, 0, 0)),
        ("TIFF", {}, (0, 0, 0)),
    ],
    ids=str,
)
def test_the_remains_of_a_damaged_image_are_kept(kind, options, left):
    image = noise().point(lambda level: level // 16)
    image = ImageChops.add(image, Image.new("RGB", image.size, SKY))
    data = written(image, kind, **options)
    damaged, (above, below) = halves(data[: len(data) // 2], keep_damaged=True)
    assert damaged
    assert above == pytest.approx(SKY, abs=20)
    assert below == pytest.approx(left, abs=8)
    assert not make(data, keep_damaged=True).damaged
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


@all_jpeg_kinds
@pytest.mark.parametrize("end", [b"", END, b"\xff\xf3 and so on" + END])
def test_a_damaged_jpeg_is_kept_if_the_options_ask_for_it(data, end):
    assert make(truncate(data, 0.5) + end, keep_damaged=True).damaged
    assert not make(data, keep_damaged=True).damaged


@pytest.mark.parametrize("kind", ["GIF", "BMP"])
def test_half_an_image_is_kept_if_the_options_ask_for_it(kind):
    data = noisy("P", kind=kind)
    assert rejected(data[: len(data) // 2])
    assert make(data[: len(data) // 2], keep_damaged=True).damaged


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "TIFF"])
def test_a_file_without_any_pixel_is_rejected(kind):
    data = noisy(kind=kind)
    for length in (20, 40, 60):
        with pytest.raises(UndecodableImageError):
            make(data[:length], keep_damaged=True)


@pytest.mark.parametrize("length", range(12))
@pytest.mark.parametrize("marker", [b"\xff\xda", b"\xff\xc2", b"\xff\xc4"])
@pytest.mark.parametrize("kept", [False, True])
def test_a_segment_that_is_too_short_does_not_crash_the_decoder(marker, length, kept):
    data = bytearray(noisy(size=(64, 48), progressive=True))
    at = data.index(marker) + 2
    data[at : at + 2] = length.to_bytes(2)
    with contextlib.suppress(UndecodableImageError):  # any other exception would be a bug
        make(bytes(data), keep_damaged=kept)
