"""Our decoder gives libjpeg's very pixels at an eighth, and leaves to it whatever it would complain of."""

import io
import random

import pytest
import simplejpeg
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import ErrorCode
from support.pictures import grain
from thumbnailer import imaging, imaging_eighth
from thumbnailer.imaging_jpeg import reduce
from thumbnailer.pictures import BadPictureError
from unit.thumbnailer.recipes import recipe


def picture(size, mode="RGB", seed=7):
    noise = grain((size[0] // 8 + 1, size[1] // 8 + 1), 90 + seed).resize(size)
    return Image.merge("RGB", (noise, Image.linear_gradient("L").resize(size), noise.rotate(180))).convert(mode)


def jpeg(mode="RGB", size=(403, 301), **options):
    file = io.BytesIO()
    picture(size, mode).save(file, "JPEG", **({"quality": 90} | options))
    return file.getvalue()


def by_libjpeg(data):
    """Give the pixels at an eighth, or libjpeg's complaint."""
    header = Image.open(io.BytesIO(data))
    width, height = reduce(header.size, 1)
    wanted = "GRAY" if header.mode == "L" else "RGBX"
    try:
        return simplejpeg.decode_jpeg(data, wanted, min_width=width, min_height=height).tobytes()
    except ValueError as complaint:
        return str(complaint)


def by_us(data):
    """Give the pixels at an eighth; None if they are left to libjpeg."""
    header = Image.open(io.BytesIO(data))
    width, height = reduce(header.size, 1)
    pixels = bytearray(width * height * (1 if header.mode == "L" else 4))
    return bytes(pixels) if imaging_eighth.decode(data, pixels) else None


SIZES = [(403, 301), (1, 1), (8, 8), (9, 7), (16, 16), (17, 33), (2400, 16)]
SAMPLINGS = ["4:4:4", "4:2:2", "4:2:0"]


@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
@pytest.mark.parametrize("subsampling", SAMPLINGS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_pixels_are_the_same(size, subsampling, progressive):
    data = jpeg(size=size, subsampling=subsampling, progressive=progressive)
    assert by_us(data) == by_libjpeg(data)


@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("L", {}),
        ("RGB", {"quality": 1}),
        ("RGB", {"quality": 100, "subsampling": "4:2:0"}),
        ("RGB", {"optimize": True, "subsampling": "4:2:0"}),
        ("RGB", {"restart_marker_blocks": 1, "subsampling": "4:2:0"}),
        ("RGB", {"restart_marker_blocks": 7}),
        ("RGB", {"restart_marker_rows": 1, "subsampling": "4:2:2"}),
        ("RGB", {"exif": b"Exif\0\0" + 9000 * b"\xff\xda", "comment": b"\xff\xd9"}),
    ],
    ids=str,
)
def test_the_pixels_are_the_same_however_it_is_written(mode, options, progressive):
    data = jpeg(mode, progressive=progressive, **options)
    assert by_us(data) == by_libjpeg(data)
    assert by_us(data + b"a motion photo's film") == by_libjpeg(data)


@given(st.binary(min_size=1, max_size=40), st.integers(1, 100), st.sampled_from(SAMPLINGS), st.booleans())
def test_the_pixels_are_the_same_whatever_they_are(noise, quality, subsampling, progressive):
    size = 57, 39
    pixels = (noise * (57 * 39 * 3))[: 57 * 39 * 3]
    file = io.BytesIO()
    image = Image.frombytes("RGB", size, pixels)
    image.save(file, "JPEG", quality=quality, subsampling=subsampling, progressive=progressive)
    assert by_us(file.getvalue()) == by_libjpeg(file.getvalue())


def renamed(data):
    """Call the components R, G and B, and let nothing say that they are Y, Cb and Cr."""
    frame = data.index(b"\xff\xc0") + 10
    scan = data.index(b"\xff\xda") + 5
    changed = bytearray(data)
    for number, name in enumerate(b"RGB"):
        changed[frame + 3 * number] = changed[scan + 2 * number] = name
    return bytes(changed).replace(b"JFIF", b"JFXX")


def with_adobe(data, transform):
    return data[:2] + b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0" + bytes((transform,)) + data[2:]


LEFT_TO_LIBJPEG = {
    "CMYK": jpeg("CMYK"),
    "RGB by name": renamed(jpeg()),
    "RGB by Adobe": with_adobe(jpeg().replace(b"JFIF", b"JFXX"), 0),
    "12 bits": jpeg().replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"),
    "an arithmetic code": jpeg().replace(b"\xff\xc0", b"\xff\xc9"),
    "no scan": jpeg()[: jpeg().index(b"\xff\xda")] + b"\xff\xd9",
    "no end": jpeg()[:-2],
    "empty": b"",
}


@pytest.mark.parametrize("name", LEFT_TO_LIBJPEG)
def test_other_files_are_left_to_libjpeg(name):
    for room in (38 * 51, 38 * 51 * 4):
        assert not imaging_eighth.decode(LEFT_TO_LIBJPEG[name], bytearray(room))


@pytest.mark.parametrize("name", ["CMYK", "RGB by name", "RGB by Adobe"])
def test_what_is_left_to_libjpeg_has_its_thumbnail(name):
    big = {"CMYK": jpeg("CMYK", (3200, 2400)), "RGB by name": renamed(jpeg(size=(3200, 2400)))}
    data = big.get(name) or with_adobe(jpeg(size=(3200, 2400)).replace(b"JFIF", b"JFXX"), 0)
    assert imaging.make_picture(data, recipe()).renditions[0].width == 256


def test_there_is_room_for_neither_more_pixels_nor_fewer():
    data = jpeg()
    assert imaging_eighth.decode(data, bytearray(51 * 38 * 4))
    assert not imaging_eighth.decode(data, bytearray(51 * 38 * 4 - 1))
    assert not imaging_eighth.decode(data, bytearray(51 * 38 * 4 + 1))


@pytest.mark.parametrize("restarts", [{}, {"restart_marker_blocks": 5}], ids=["", "restarts"])
@pytest.mark.parametrize("subsampling", SAMPLINGS)
@pytest.mark.parametrize("seed", range(20))
def test_what_libjpeg_complains_of_is_left_to_it(seed, subsampling, restarts):
    chance = random.Random(f"{seed} {subsampling} {restarts}")
    data = bytearray(jpeg(subsampling=subsampling, **restarts))
    start = data.index(b"\xff\xda")
    for _ in range(chance.choice([1, 1, 3, 100])):
        data[chance.randrange(start, len(data) - 2)] ^= 1 << chance.randrange(8)
    ours = by_us(bytes(data))
    assert ours is None or ours == by_libjpeg(bytes(data))


def with_one_more_code(data, bits, symbol):
    """Add a code to the first table of codes for means."""
    start = data.index(b"\xff\xc4\x00\x1f\x00")
    counts = bytearray(data[start + 5 : start + 21])
    end = start + 21 + sum(counts)
    counts[bits - 1] += 1
    symbols = data[start + 21 : end] + bytes((symbol,))
    return data[:start] + b"\xff\xc4\x00\x20\x00" + counts + symbols + data[end:]


@pytest.mark.parametrize(("bits", "symbol"), [(9, 12), (10, 16)], ids=["a code of ones", "a value of 16 bits"])
def test_a_table_that_libjpeg_refuses_is_left_to_it(bits, symbol):
    sound, odd = with_one_more_code(jpeg(), 10, 12), with_one_more_code(jpeg(), bits, symbol)
    assert by_us(sound) == by_libjpeg(sound)
    assert "Bogus Huffman table" in by_libjpeg(odd)
    assert by_us(odd) is None


@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
@pytest.mark.parametrize("table", [0, 1], ids=["light", "colours"])
def test_values_far_beyond_all_pixels_are_left_to_libjpeg(table, progressive):
    data = bytearray(jpeg(quality=100, subsampling="4:2:0", progressive=progressive))
    data[data.index(b"\xff\xdb\x00C" + bytes((table,))) + 5] = 255  # what each mean is multiplied by
    assert isinstance(by_libjpeg(bytes(data)), bytes)
    assert by_us(bytes(data)) is None


@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_a_cut_file_is_left_to_libjpeg_and_refused(part, progressive):
    data = jpeg(size=(3208, 2400), progressive=progressive)
    cut = data[: int(len(data) * part)]
    assert by_us(cut) is None
    with pytest.raises(BadPictureError) as refused:
        imaging.make_picture(cut, recipe())
    assert refused.value.code is ErrorCode.UNREADABLE_IMAGE


def test_a_progressive_file_without_its_last_scan_is_left_to_libjpeg():
    data = jpeg(progressive=True)
    assert by_us(data)
    assert by_us(data[: data.rindex(b"\xff\xda")] + b"\xff\xd9") is None


def with_scans(data, scans):
    """Repeat the beginning of a progressive file's last scan until there are so many."""
    last = data[data.rindex(b"\xff\xda") :][:14].replace(b"\xff", b"\0")
    return data[:-2] + (b"\xff" + last[1:]) * (scans - data.count(b"\xff\xda")) + data[-2:]


@pytest.mark.parametrize("size", [(2400, 3208), (640, 480)], ids=["at an eighth", "larger"])
def test_too_many_scans_are_refused_before_they_are_decoded(size):
    data = jpeg(size=size, progressive=True)
    imaging.make_picture(data, recipe(jpeg_scans=data.count(b"\xff\xda")))
    for bomb in (with_scans(data, 101), with_scans(data, 101)[:-2], with_scans(data, 20_000)):
        with pytest.raises(BadPictureError, match="than 100 scans") as refused:
            imaging.make_picture(bomb, recipe())
        assert refused.value.code is ErrorCode.UNREADABLE_IMAGE


def test_what_stands_behind_the_picture_is_no_scan():
    imaging.make_picture(jpeg(size=(640, 480), progressive=True) + b"\xff\xda" * 500, recipe())


SAMPLES = [jpeg(size=(64, 48), progressive=progressive, subsampling="4:2:0") for progressive in (False, True)]


@given(st.binary(max_size=300), st.integers(0, 800), st.sampled_from(SAMPLES))
def test_no_bytes_upset_it(garbage, where, sample):
    pixels = bytearray(8 * 6 * 4)
    imaging_eighth.decode(garbage, pixels)
    imaging_eighth.decode(b"\xff\xd8" + garbage, pixels)
    imaging_eighth.decode(sample[:where] + garbage + sample[where + len(garbage) :], pixels)


@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
def test_a_thumbnail_is_made_of_its_pixels(monkeypatch, progressive):
    data = jpeg(size=(3208, 2400), progressive=progressive)
    ours = imaging.make_picture(data, recipe())
    monkeypatch.setattr(imaging_eighth, "decode", lambda *_: False)
    assert imaging.make_picture(data, recipe()) == ours
    monkeypatch.setattr(imaging_eighth, "decode", lambda *_: True)  # and leave them black
    assert imaging.make_picture(data, recipe()) != ours
