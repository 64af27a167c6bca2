"""Lossy WebPs are scaled as planes, to what Pillow makes of them."""

import io

import pytest
from PIL import Image, ImageChops, ImageStat

from tests.support.images import grain
from tests.unit.thumbnailer.options import make_options
from thumbmill.thumbnailer.imaging.codecs import webp as webp_codec
from thumbmill.thumbnailer.imaging.codecs.webp import decode_yuv_scaled
from thumbmill.thumbnailer.imaging.pipeline import process_image
from thumbmill.thumbnailer.imaging.resize import scale


def photo(size):
    small = (max(2, size[0] // 12), max(2, size[1] // 12))
    bands = [grain(small, 50 + 20 * band).resize(size, Image.Resampling.BICUBIC) for band in range(3)]
    return Image.merge("RGB", bands)


def webp(image, **options):
    file = io.BytesIO()
    image.save(file, "WEBP", **options)
    return file.getvalue()


@pytest.mark.parametrize("size", [(640, 480), (641, 480), (640, 481), (641, 481), (1, 1), (31, 500), (16, 16)])
@pytest.mark.parametrize("edge", [64, 256, 700])
def test_the_result_is_close_to_pillow_s(size, edge):
    data = webp(photo(size), quality=90)
    with Image.open(io.BytesIO(data)) as image:
        wanted = tuple(max(1, length * edge // max(size)) for length in size)
        scaled, expected = decode_yuv_scaled(data, image, wanted), scale(image.convert("RGB"), wanted)
    assert scaled.size == wanted
    difference = ImageStat.Stat(ImageChops.difference(scaled, expected))
    assert max(difference.rms) < 3
    means = zip(ImageStat.Stat(scaled).mean, ImageStat.Stat(expected).mean, strict=True)
    assert all(abs(one - other) < 0.7 for one, other in means)


@pytest.mark.parametrize("level", [0, 90, 128, 255])
def test_greys_stay_exact(level):
    data = webp(Image.new("RGB", (200, 100), (level,) * 3), quality=100)
    with Image.open(io.BytesIO(data)) as image:
        ((count, colour),) = decode_yuv_scaled(data, image, (50, 25)).getcolors()
    assert count == 1250
    assert all(abs(band - level) <= 1 for band in colour)


def test_files_with_profile_and_exif_are_decoded_with_them():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = webp(photo((320, 200)), quality=80, exif=exif, icc_profile=b"a profile")
    with Image.open(io.BytesIO(data)) as image:
        assert decode_yuv_scaled(data, image, (32, 20)).info["icc_profile"] == b"a profile"
    result = process_image(data, make_options())
    assert (result.width, result.height) == (200, 320)


def test_other_kinds_are_left_to_pillow():
    opaque, transparent = photo((64, 48)), photo((64, 48)).convert("RGBA")
    transparent.putalpha(Image.linear_gradient("L").resize((64, 48)))
    for data in (
        webp(opaque, lossless=True),
        webp(transparent, quality=80),
        webp(opaque, quality=80, save_all=True, append_images=[opaque.rotate(180)]),
        webp(opaque, quality=80)[:-40],
        webp(opaque, quality=80)[:20],
        b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(10) + b"JUNK\0\0\0\0" * 1000,
    ):
        assert decode_yuv_scaled(data, opaque, (32, 24)) is None


def test_pillow_decodes_if_the_library_is_missing(monkeypatch):
    monkeypatch.setattr(webp_codec, "_find_library", lambda: None)
    assert process_image(webp(photo((320, 200)), quality=80), make_options()).variants[0].width == 256
