"""An ordinary PNG goes past Pillow, and comes to the same pixels; every other is left to it."""

import io
import struct
import zlib

import pytest
from PIL import Image, PngImagePlugin

from tests.unit.thumbnailer.options import make_options
from thumbmill.thumbnailer.imaging.codecs import png as png_codec
from thumbmill.thumbnailer.imaging.codecs.png import decode
from thumbmill.thumbnailer.imaging.model import UndecodableImageError
from thumbmill.thumbnailer.imaging.pipeline import process_image


def photo(mode="RGB", size=(203, 151)):
    bands = [Image.effect_noise(size, 30 + 40 * band) for band in range(4)]
    return Image.merge(mode, bands[: len(Image.getmodebands(mode) * [0])])


def png(image, **options):
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def opened(data):
    return Image.open(io.BytesIO(data))


def chunk(kind, data=b""):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def behind_the_pixels(data, more):
    return data[:-12] + more + data[-12:]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [(203, 151), (1, 1), (1, 90), (256, 1)])
def test_it_comes_to_pillow_s_pixels(mode, size):
    data = png(photo(mode, size), icc_profile=b"a profile")
    decoded = decode(data, opened(data))
    assert decoded.mode == mode
    assert decoded.tobytes() == opened(data).tobytes()
    assert decoded.info["icc_profile"] == b"a profile"


def test_what_is_not_ordinary_is_left_to_pillow():
    rgb = photo()
    for data in (
        png(rgb.convert("P")),
        png(rgb.convert("1")),
        png(photo("LA")),
        png(Image.new("I;16", (20, 20), 500)),
        png(rgb, transparency=(1, 2, 3)),
        png(rgb, save_all=True, append_images=[rgb.rotate(180)]),
        behind_the_pixels(png(rgb), chunk(b"tEXt", b"Comment\0late")),
        png(rgb)[:24] + b"\x10" + png(rgb)[25:],
    ):
        assert decode(data, rgb) is None


def test_what_has_a_fault_is_left_to_pillow():
    rgb = photo()
    data = png(rgb)
    for faulty in (
        data[:-12],
        data[: len(data) // 2],
        data[:60] + b"\x55\xaa" + data[62:],
        data[:33] + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND"),
        data[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0)) + data[33:],
        data[:33] + chunk(b"abCd") * 200_000 + data[33:],
    ):
        assert decode(faulty, rgb) is None
    with pytest.raises(UndecodableImageError):
        process_image(data[: len(data) // 2], make_options())


def test_a_decoder_that_panics_is_no_end(monkeypatch):
    class Panic(BaseException):
        """As Rust's are, from Python's point of view."""

    def panic(*_):
        raise Panic

    monkeypatch.setattr(png_codec, "decode_image_png_u8", panic)
    assert process_image(png(photo()), make_options()).width == 203


@pytest.mark.parametrize("late", [False, True])
def test_exif_turns_it_wherever_it_stands(late):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = (
        png(photo(), exif=exif) if not late else behind_the_pixels(png(photo()), chunk(b"eXIf", exif.tobytes()[6:]))
    )
    picture = process_image(data, make_options())
    assert (picture.width, picture.height) == (151, 203)


def test_a_comment_before_the_pixels_hides_nothing():
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "a comment")
    data = png(photo(), pnginfo=info)
    assert decode(data, opened(data)) is not None
