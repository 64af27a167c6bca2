"""The sample image: valid, of the given size, and always the same bytes."""

import io

from PIL import Image

from devstack.sample_image import make_sample_image


def test_the_sample_image_can_be_decoded():
    with Image.open(io.BytesIO(make_sample_image(64, 48))) as image:
        image.load()
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (64, 48))
        assert image.getpixel((0, 0)) == (0, 96, 0)
        assert image.getpixel((63, 47)) == (63 * 255 // 64, 96, 47 * 255 // 48)


def test_the_sample_image_is_always_the_same():
    assert make_sample_image(64, 48) == make_sample_image(64, 48)
