"""The DC-only decoder returns libjpeg's pixels at an eighth of the size."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.unit.thumbnailer.jpegs import SAMPLINGS, decode_by_libjpeg, decode_dc_only, jpeg
from tests.unit.thumbnailer.options import make_options
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging import pipeline
from thumbmill.thumbnailer.imaging.codecs import jpeg_dc_only
from thumbmill.thumbnailer.imaging.model import UndecodableImageError

SIZES = [(403, 301), (1, 1), (8, 8), (9, 7), (16, 16), (17, 33), (2400, 16)]


@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
@pytest.mark.parametrize("subsampling", SAMPLINGS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_pixels_are_libjpeg_s(size, subsampling, progressive):
    data = jpeg(size=size, subsampling=subsampling, progressive=progressive)
    assert decode_dc_only(data) == decode_by_libjpeg(data)


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
def test_the_pixels_are_libjpeg_s_for_every_encoding(mode, options, progressive):
    data = jpeg(mode, progressive=progressive, **options)
    assert decode_dc_only(data) == decode_by_libjpeg(data)
    assert decode_dc_only(data + b"a motion photo's video") == decode_by_libjpeg(data)


@pytest.mark.parametrize("subsampling", SAMPLINGS)
def test_a_baseline_scan_has_all_coefficients_whatever_its_header_states(subsampling):
    """Samsung's phones write zeros where T.81 requires 0, 63, 0."""
    data = jpeg(subsampling=subsampling)
    start = data.index(b"\xff\xda\0\x0c") + 14
    assert data[start - 3 : start] == b"\0\x3f\0"
    assert decode_dc_only(data[: start - 3] + bytes(3) + data[start:]) == decode_by_libjpeg(data)


@given(st.binary(min_size=1, max_size=40), st.integers(1, 100), st.sampled_from(SAMPLINGS), st.booleans())
def test_the_pixels_are_libjpeg_s_for_random_images(noise, quality, subsampling, progressive):
    size = 57, 39
    pixels = (noise * (57 * 39 * 3))[: 57 * 39 * 3]
    file = io.BytesIO()
    image = Image.frombytes("RGB", size, pixels)
    image.save(file, "JPEG", quality=quality, subsampling=subsampling, progressive=progressive)
    assert decode_dc_only(file.getvalue()) == decode_by_libjpeg(file.getvalue())


def with_scans(data, scans):
    """Repeat the header of a progressive file's last scan until it has a number of scans."""
    last = data[data.rindex(b"\xff\xda") :][:14].replace(b"\xff", b"\0")
    return data[:-2] + (b"\xff" + last[1:]) * (scans - data.count(b"\xff\xda")) + data[-2:]


@pytest.mark.parametrize("size", [(2400, 3208), (640, 480)], ids=["at an eighth", "larger"])
def test_too_many_scans_are_rejected_before_decoding(size):
    data = jpeg(size=size, progressive=True)
    pipeline.process_image(data, make_options(jpeg_scans=data.count(b"\xff\xda")))
    for bomb in (with_scans(data, 101), with_scans(data, 101)[:-2], with_scans(data, 20_000)):
        with pytest.raises(UndecodableImageError, match="than 100 scans") as rejected:
            pipeline.process_image(bomb, make_options())
        assert rejected.value.code is ErrorCode.UNREADABLE_IMAGE


def test_data_after_the_image_are_not_scans():
    pipeline.process_image(jpeg(size=(640, 480), progressive=True) + b"\xff\xda" * 500, make_options())


SAMPLES = [jpeg(size=(64, 48), progressive=progressive, subsampling="4:2:0") for progressive in (False, True)]


@given(st.binary(max_size=300), st.integers(0, 800), st.sampled_from(SAMPLES))
def test_random_damage_raises_no_error(garbage, where, sample):
    pixels = bytearray(8 * 6 * 4)
    jpeg_dc_only.decode(garbage, pixels)
    jpeg_dc_only.decode(b"\xff\xd8" + garbage, pixels)
    damaged = sample[:where] + garbage + sample[where + len(garbage) :]
    jpeg_dc_only.decode(damaged, pixels)
    for data in (garbage, damaged, damaged[: where + 500]):
        extent = jpeg_dc_only.measure_scan(data)
        assert extent is None or 0 <= extent.decoded <= extent.mcus


@pytest.mark.parametrize("progressive", [False, True], ids=["baseline", "progressive"])
def test_thumbnails_are_made_of_the_decoder_s_pixels(monkeypatch, progressive):
    data = jpeg(size=(3208, 2400), progressive=progressive)
    result = pipeline.process_image(data, make_options())
    monkeypatch.setattr(jpeg_dc_only, "decode", lambda *_: False)
    assert pipeline.process_image(data, make_options()) == result
    monkeypatch.setattr(jpeg_dc_only, "decode", lambda *_: True)  # which leaves them black
    assert pipeline.process_image(data, make_options()) != result
