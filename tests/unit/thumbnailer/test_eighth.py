"""Our decoder gives libjpeg's very pixels at an eighth."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.unit.thumbnailer.eighths import SAMPLINGS, by_libjpeg, by_us, jpeg
from tests.unit.thumbnailer.options import make_options
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging import pipeline
from thumbmill.thumbnailer.imaging.codecs import jpeg_dc_only
from thumbmill.thumbnailer.imaging.model import UndecodableImageError

SIZES = [(403, 301), (1, 1), (8, 8), (9, 7), (16, 16), (17, 33), (2400, 16)]


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


@pytest.mark.parametrize("subsampling", SAMPLINGS)
def test_a_baseline_scan_has_all_coefficients_whatever_it_says(subsampling):
    """Samsung's phones write zeros there, where T.81 has 0, 63, 0."""
    data = jpeg(subsampling=subsampling)
    start = data.index(b"\xff\xda\0\x0c") + 14
    assert data[start - 3 : start] == b"\0\x3f\0"
    assert by_us(data[: start - 3] + bytes(3) + data[start:]) == by_libjpeg(data)


@given(st.binary(min_size=1, max_size=40), st.integers(1, 100), st.sampled_from(SAMPLINGS), st.booleans())
def test_the_pixels_are_the_same_whatever_they_are(noise, quality, subsampling, progressive):
    size = 57, 39
    pixels = (noise * (57 * 39 * 3))[: 57 * 39 * 3]
    file = io.BytesIO()
    image = Image.frombytes("RGB", size, pixels)
    image.save(file, "JPEG", quality=quality, subsampling=subsampling, progressive=progressive)
    assert by_us(file.getvalue()) == by_libjpeg(file.getvalue())


def with_scans(data, scans):
    """Repeat the beginning of a progressive file's last scan until there are so many."""
    last = data[data.rindex(b"\xff\xda") :][:14].replace(b"\xff", b"\0")
    return data[:-2] + (b"\xff" + last[1:]) * (scans - data.count(b"\xff\xda")) + data[-2:]


@pytest.mark.parametrize("size", [(2400, 3208), (640, 480)], ids=["at an eighth", "larger"])
def test_too_many_scans_are_refused_before_they_are_decoded(size):
    data = jpeg(size=size, progressive=True)
    pipeline.process_image(data, make_options(jpeg_scans=data.count(b"\xff\xda")))
    for bomb in (with_scans(data, 101), with_scans(data, 101)[:-2], with_scans(data, 20_000)):
        with pytest.raises(UndecodableImageError, match="than 100 scans") as refused:
            pipeline.process_image(bomb, make_options())
        assert refused.value.code is ErrorCode.UNREADABLE_IMAGE


def test_what_stands_behind_the_picture_is_no_scan():
    pipeline.process_image(jpeg(size=(640, 480), progressive=True) + b"\xff\xda" * 500, make_options())


SAMPLES = [jpeg(size=(64, 48), progressive=progressive, subsampling="4:2:0") for progressive in (False, True)]


@given(st.binary(max_size=300), st.integers(0, 800), st.sampled_from(SAMPLES))
def test_no_bytes_upset_it(garbage, where, sample):
    pixels = bytearray(8 * 6 * 4)
    jpeg_dc_only.decode(garbage, pixels)
    jpeg_dc_only.decode(b"\xff\xd8" + garbage, pixels)
    harmed = sample[:where] + garbage + sample[where + len(garbage) :]
    jpeg_dc_only.decode(harmed, pixels)
    for data in (garbage, harmed, harmed[: where + 500]):
        extent = jpeg_dc_only.measure_scan(data)
        assert extent is None or 0 <= extent.decoded <= extent.mcus


@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
def test_a_thumbnail_is_made_of_its_pixels(monkeypatch, progressive):
    data = jpeg(size=(3208, 2400), progressive=progressive)
    ours = pipeline.process_image(data, make_options())
    monkeypatch.setattr(jpeg_dc_only, "decode", lambda *_: False)
    assert pipeline.process_image(data, make_options()) == ours
    monkeypatch.setattr(jpeg_dc_only, "decode", lambda *_: True)  # and leave them black
    assert pipeline.process_image(data, make_options()) != ours
