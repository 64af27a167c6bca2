"""The sample picture: whole, of the asked size, and the same every time."""

import io

from PIL import Image

from devstack.sample_image import make_sample_image


def test_the_picture_is_a_picture():
    with Image.open(io.BytesIO(make_sample_image(64, 48))) as image:
        image.load()
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (64, 48))
        assert image.getpixel((0, 0)) == (0, 96, 0)
        assert image.getpixel((63, 47)) == (63 * 255 // 64, 96, 47 * 255 // 48)


def test_the_picture_is_the_same_every_time():
    assert make_sample_image(64, 48) == make_sample_image(64, 48)
