"""What is left out of a progressive JPEG does not show at an eighth of its size, and nothing else is left out."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.errors import ErrorCode
from support.pictures import grain
from thumbnailer import imaging
from thumbnailer.imaging_exif import read_exif
from thumbnailer.pictures import BadPictureError
from thumbnailer.scans import drop_unseen_scans
from unit.thumbnailer.recipes import recipe


def jpeg(mode="RGB", size=(2400, 3208), *, seed=7, **options):
    noise = grain((size[0] // 8 + 1, size[1] // 8 + 1), 90 + seed).resize(size)
    picture = Image.merge("RGB", (noise, Image.linear_gradient("L").resize(size), noise.rotate(180)))
    file = io.BytesIO()
    picture.convert(mode).save(file, "JPEG", quality=90, **({"progressive": True} | options))
    return file.getvalue()


def at_an_eighth(data):
    picture = Image.open(io.BytesIO(data))
    picture.draft(None, (picture.width // 8, picture.height // 8))
    picture.load()
    return picture.size, picture.tobytes()


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {"subsampling": "4:2:0"}),
        ("RGB", {"subsampling": "4:2:2"}),
        ("RGB", {"subsampling": "4:4:4"}),
        ("RGB", {"restart_marker_blocks": 5}),
        ("L", {}),
        ("CMYK", {}),
        ("RGB", {"size": (2411, 1999)}),
    ],
    ids=str,
)
def test_the_pixels_are_the_same_and_the_work_is_less(mode, options):
    data = jpeg(mode, **options)
    short = drop_unseen_scans(data, 100)
    assert len(short) < 0.8 * len(data)
    assert at_an_eighth(short) == at_an_eighth(data)


def test_the_variant_is_the_same(monkeypatch):
    data = jpeg()
    with_filter = imaging.make_picture(data, recipe())
    monkeypatch.setattr(imaging, "drop_unseen_scans", lambda data, _: data)
    assert imaging.make_picture(data, recipe()) == with_filter


def test_a_picture_that_needs_its_scans_keeps_them(monkeypatch):
    data = jpeg(size=(1600, 1200))  # decoded at a quarter
    expected = imaging.make_picture(data, recipe())
    monkeypatch.setattr(imaging, "drop_unseen_scans", lambda *_: b"")
    assert imaging.make_picture(data, recipe()) == expected


def with_scans(data, scans):
    """Repeat the beginning of a progressive file's last scan until there are so many."""
    last = data[data.rindex(b"\xff\xda") :][:14].replace(b"\xff", b"\0")
    return data[:-2] + (b"\xff" + last[1:]) * (scans - data.count(b"\xff\xda")) + data[-2:]


@pytest.mark.parametrize("size", [(2400, 3208), (640, 480)], ids=["at an eighth", "larger"])
def test_too_many_scans_are_refused_before_they_are_decoded(size):
    data = jpeg(size=size)
    imaging.make_picture(data, recipe(jpeg_scans=data.count(b"\xff\xda")))
    for bomb in (with_scans(data, 101), with_scans(data, 101)[:-2], with_scans(data, 20_000)):
        with pytest.raises(BadPictureError, match="than 100 scans") as refused:
            imaging.make_picture(bomb, recipe())
        assert refused.value.code is ErrorCode.UNREADABLE_IMAGE


def test_what_stands_behind_the_picture_is_no_scan():
    imaging.make_picture(jpeg(size=(640, 480)) + b"\xff\xda" * 500, recipe())


def test_exif_and_what_stands_behind_the_picture_stay():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = jpeg(exif=exif) + b"a motion photo's film"
    short = drop_unseen_scans(data, 100)
    assert read_exif(Image.open(io.BytesIO(short)), keep_gps=False).orientation == 6
    assert short.endswith(b"a motion photo's film")


def test_a_baseline_file_comes_back_as_it_is():
    data = jpeg(progressive=False)
    assert drop_unseen_scans(data, 100) == data


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_cut_file_is_left_to_the_decoder_which_refuses_it(part):
    data = jpeg()
    cut = data[: int(len(data) * part)]
    assert drop_unseen_scans(cut, 100) == cut
    with pytest.raises(BadPictureError) as refused:
        imaging.make_picture(cut, recipe())
    assert refused.value.code is ErrorCode.UNREADABLE_IMAGE


SAMPLE = jpeg(size=(320, 240))


@given(st.binary(max_size=300), st.integers(0, 800))
def test_no_bytes_upset_it(garbage, where):
    drop_unseen_scans(garbage, 100)
    drop_unseen_scans(b"\xff\xd8" + garbage, 100)
    drop_unseen_scans(SAMPLE[:where] + garbage + SAMPLE[where + len(garbage) :], 100)
