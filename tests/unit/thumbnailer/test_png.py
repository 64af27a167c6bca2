"""Common PNGs are decoded by Rust's decoder to Pillow's pixels; all others are left to Pillow."""

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


def after_idat(data, more):
    return data[:-12] + more + data[-12:]


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
@pytest.mark.parametrize("size", [(203, 151), (1, 1), (1, 90), (256, 1)])
def test_the_pixels_are_pillow_s(mode, size):
    data = png(photo(mode, size), icc_profile=b"a profile")
    decoded = decode(data, opened(data))
    assert decoded.mode == mode
    assert decoded.tobytes() == opened(data).tobytes()
    assert decoded.info["icc_profile"] == b"a profile"


def test_uncommon_kinds_are_left_to_pillow():
    rgb = photo()
    for data in (
        png(rgb.convert("P")),
        png(rgb.convert("1")),
        png(photo("LA")),
        png(Image.new("I;16", (20, 20), 500)),
        png(rgb, transparency=(1, 2, 3)),
        png(rgb, save_all=True, append_images=[rgb.rotate(180)]),
        after_idat(png(rgb), chunk(b"tEXt", b"Comment\0late")),
        png(rgb)[:24] + b"\x10" + png(rgb)[25:],
    ):
        assert decode(data, rgb) is None


def test_damaged_files_are_left_to_pillow():
    rgb = photo()
    data = png(rgb)
    for damaged in (
        data[:-12],
        data[: len(data) // 2],
        data[:60] + b"\x55\xaa" + data[62:],
        data[:33] + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND"),
        data[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 9000, 9000, 8, 2, 0, 0, 0)) + data[33:],
        data[:33] + chunk(b"abCd") * 200_000 + data[33:],
    ):
        assert decode(damaged, rgb) is None
    with pytest.raises(UndecodableImageError):
        process_image(data[: len(data) // 2], make_options())


def test_a_panic_of_the_decoder_is_left_to_pillow(monkeypatch):
    class Panic(BaseException):
        """A panic of Rust code, as it arrives in Python."""

    def panic(*_):
        raise Panic

    monkeypatch.setattr(png_codec, "decode_image_png_u8", panic)
    assert process_image(png(photo()), make_options()).width == 203


@pytest.mark.parametrize("late", [False, True])
def test_exif_orientation_applies_before_and_after_idat(late):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = png(photo(), exif=exif) if not late else after_idat(png(photo()), chunk(b"eXIf", exif.tobytes()[6:]))
    result = process_image(data, make_options())
    assert (result.width, result.height) == (151, 203)


def test_a_comment_before_idat_does_not_prevent_decoding():
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "a comment")
    data = png(photo(), pnginfo=info)
    assert decode(data, opened(data)) is not None
