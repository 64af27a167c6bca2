"""A JPEG that is damaged is never half grey and DONE, and a sound one is never refused, however grey it is."""

import io
import random

import pytest
from PIL import Image

from pipeline.errors import ErrorCode
from thumbnailer.imaging import make_picture
from thumbnailer.pictures import BadPictureError
from unit.thumbnailer.recipes import recipe

GREY = (128, 128, 128)


def noise(mode="RGB", size=(1300, 900)):
    chance = random.Random(1)  # the same picture every time: whether flipped bytes show depends on it
    bands = [Image.frombytes("L", size, chance.randbytes(size[0] * size[1])) for _ in range(3)]
    return Image.merge("RGB", bands).convert(mode)


def jpeg(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def make(data):
    return make_picture(data, recipe())


def refused(data):
    with pytest.raises(BadPictureError) as raised:
        make(data)
    return raised.value.code is ErrorCode.UNREADABLE_IMAGE


BASELINE = [
    ("RGB", {}),
    ("L", {}),
    ("CMYK", {}),
    ("RGB", {"subsampling": "4:4:4"}),
    ("RGB", {"restart_marker_rows": 200}),
]
WAYS = [*BASELINE, ("RGB", {"progressive": True})]


@pytest.mark.parametrize(("mode", "options"), BASELINE, ids=str)
@pytest.mark.parametrize("part", [0.2, 0.6, 0.95])
def test_data_that_end_too_early_are_noticed(mode, options, part):
    data = jpeg(noise(mode), **options)
    start = data.index(b"\xff\xda") + 20
    cut = data[: start + int((len(data) - start) * part)]
    assert refused(cut.rstrip(b"\xff") + b"\xff\xd9")


def test_a_stray_marker_in_the_data_is_noticed():
    data = bytearray(jpeg(noise()))
    data[len(data) // 2 : len(data) // 2 + 2] = b"\xff\xf3"
    assert refused(bytes(data))


def test_a_header_that_claims_a_larger_picture_is_noticed():
    data = jpeg(noise())
    at = data.index(b"\xff\xc0") + 5
    assert refused(data[:at] + (3000).to_bytes(2) + data[at + 2 :])


def test_flipped_bytes_that_leave_the_data_short_are_noticed():
    """Others let the decoder find its way again; what it shows then cannot be told from a picture."""
    dice, data = random.Random(5), bytearray(jpeg(noise()))
    for _ in range(200):
        data[dice.randrange(2000, len(data) - 2)] ^= 0xFF
    assert refused(bytes(data))


@pytest.mark.parametrize(("mode", "options"), WAYS, ids=str)
def test_a_grey_picture_is_sound(mode, options):
    image = noise()
    image.paste(GREY, (0, 300, *image.size))
    for sound in (image, Image.new("RGB", (1300, 900), GREY), Image.new("RGB", (5, 5), GREY)):
        data = jpeg(sound.convert(mode), **options)
        make(data)
        make(data + b"a motion photo's film \xff\xda\xff\xd9" * 90)


def test_a_camera_s_several_grey_pictures_in_one_are_sound():
    file = io.BytesIO()
    grey = Image.new("RGB", (640, 480), GREY)
    grey.save(file, "MPO", save_all=True, append_images=[grey, noise()])
    make(file.getvalue())
