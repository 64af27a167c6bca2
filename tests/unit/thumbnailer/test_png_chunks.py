"""Damage in ancillary chunks of a PNG is ignored; damage in critical chunks is not."""

import io
import os
import struct
import zlib

import pytest
from PIL import Image, ImageSequence

from tests.support.images import opened
from tests.support.pngs import SIGNATURE, chunk
from tests.support.profiles import ADOBE_GAMMA, ADOBE_RGB, rgb_profile
from tests.unit.thumbnailer.options import make_options
from thumbmill.thumbnailer.imaging.codecs.png_chunks import MAX_PROFILE_BYTES, normalize_chunks, read_chunks
from thumbmill.thumbnailer.imaging.model import UndecodableImageError
from thumbmill.thumbnailer.imaging.pipeline import process_image
from thumbmill.thumbnailer.presets.model import Preset

PLAIN = make_options(Preset("plain", width=640, height=640, format="png"))
KEEPING = make_options(Preset("plain", width=640, height=640, format="png", animated="keep"))
RED, GREEN, BLUE = (220, 20, 20), (20, 200, 20), (20, 20, 220)
MEBIBYTE = 2**20


def png(image=None, **options):
    file = io.BytesIO()
    (image or Image.new("RGB", (20, 10), RED)).save(file, "PNG", **options)
    return file.getvalue()


def with_chunks(*chunks, data=None, before=b"IDAT"):
    data = data or png()
    at = data.index(before) - 4
    return data[:at] + b"".join(chunks) + data[at:]


def broken(intact):
    """Return a chunk with a wrong CRC."""
    return intact[:-1] + bytes((intact[-1] ^ 1,))


def compressed(name, size, pattern=b'{"x":1}'):
    return chunk(name, b"workflow\0\0" + zlib.compress(pattern * (size // len(pattern)), 9))


def first_pixel(data, made=PLAIN):
    return opened(process_image(data, made).variants[0].data).getpixel((10, 5))


def padded_profile(size, filler=bytes):
    """Return Adobe RGB's profile, padded to a size."""
    profile = rgb_profile(ADOBE_RGB, ADOBE_GAMMA)
    profile += filler(size - len(profile))
    return struct.pack(">I", size) + profile[4:]


@pytest.mark.parametrize(
    "extra",
    {
        "text": chunk(b"tEXt", b"a\0bcd"),
        "broken text": broken(chunk(b"tEXt", b"a\0bcd")),
        "2 MB of text": compressed(b"zTXt", 2 * MEBIBYTE),
        "80 MB of text": compressed(b"zTXt", 80 * MEBIBYTE),
        "2 MB of international text": chunk(
            b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(b"0123456789" * MEBIBYTE)
        ),
        "text with an unknown compression": chunk(b"zTXt", b"a\0\1" + zlib.compress(b"text")),
        "text that passes for EXIF": chunk(b"tEXt", b"exif\0" + b"II*\0" + b"\xff" * 40),
        "text that passes for transparency": chunk(b"tEXt", b"transparency\0none"),
        "broken gAMA": broken(chunk(b"gAMA", struct.pack(">I", 100_000))),
        "short gAMA": chunk(b"gAMA", b"\0"),
        "short cHRM": chunk(b"cHRM", bytes(20)),
        "empty sRGB": chunk(b"sRGB", b""),
        "short pHYs": chunk(b"pHYs", b"\0"),
        "broken pHYs": broken(chunk(b"pHYs", bytes(9))),
        "broken tIME": broken(chunk(b"tIME", bytes(7))),
        "broken iCCP": broken(chunk(b"iCCP", b"x\0\0" + zlib.compress(rgb_profile(ADOBE_RGB, ADOBE_GAMMA)))),
        "iCCP with an unknown compression": chunk(b"iCCP", b"x\0\1" + zlib.compress(rgb_profile(ADOBE_RGB))),
        "iCCP without the end of its name": chunk(b"iCCP", b"x"),
        "iCCP of 200 MB": chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(200 * MEBIBYTE))),
        "broken tRNS": broken(chunk(b"tRNS", struct.pack(">HHH", *RED))),
        "short tRNS": chunk(b"tRNS", b"\0\xdc"),
        "broken eXIf": broken(chunk(b"eXIf", b"II*\0")),
        "empty acTL": chunk(b"acTL", b""),
        "broken acTL of many frames": broken(chunk(b"acTL", bytes((0, 255)) * 4)),
        "an unknown chunk, broken": broken(chunk(b"abCd", bytes(100))),
    }.items(),
    ids=lambda item: item[0],
)
@pytest.mark.parametrize("where", [b"IDAT", b"IEND"])
def test_invalid_ancillary_chunks_are_ignored(extra, where):
    assert first_pixel(with_chunks(extra[1], before=where)) == RED


@pytest.mark.parametrize("chunk_type", [b"IHDR", b"PLTE"])
def test_a_critical_chunk_with_a_wrong_crc_is_rejected(chunk_type):
    data = bytearray(png(Image.new("P", (20, 10), 1)))
    found = next(part for part in read_chunks(bytes(data)) if part.type == chunk_type)
    data[found.end - 1] ^= 1
    with pytest.raises(UndecodableImageError):
        process_image(bytes(data), PLAIN)


@pytest.mark.parametrize("filler", [bytes, os.urandom])
def test_a_profile_of_more_than_a_megabyte_is_used(filler):
    profile = padded_profile(1_200_000, filler)
    data = with_chunks(chunk(b"iCCP", b"x\0\0" + zlib.compress(profile)))
    assert first_pixel(data)[0] > RED[0] + 10
    assert process_image(data, PLAIN).details.colour_space == "test"


def test_a_profile_above_the_limit_is_ignored():
    data = with_chunks(chunk(b"iCCP", b"x\0\0" + zlib.compress(padded_profile(MAX_PROFILE_BYTES + 1))))
    assert first_pixel(data) == RED


def test_a_valid_file_is_not_rewritten():
    data = png(icc_profile=rgb_profile(ADOBE_RGB, ADOBE_GAMMA))
    assert normalize_chunks(data) is data
    assert normalize_chunks(b"no PNG at all") == b"no PNG at all"


def test_data_that_are_not_chunks_are_left_to_the_decoder():
    data = with_chunks(chunk(b"tEXt", b"a\0b"))
    assert normalize_chunks(data[:-20]) == png()[:-20]
    assert normalize_chunks(data + b"more") == png() + b"more"
    for cut in range(len(data)):
        normalize_chunks(data[:cut])


# --- animations ------------------------------------------------------------------------------------------------


def fctl(number, size, offset=(0, 0), *, dispose=0, blend=0):
    return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, *size, *offset, 1, 10, dispose, blend))


def apng(frames, *, hidden=None, mode="RGB", size=(20, 10), dispose=0):
    """Write an animation. Frames are colours, or (colour, size, offset). ``hidden``: a separate default image."""

    def pixels(colour, extent=size):
        data = png(Image.new(mode, extent, colour))
        return b"".join(part.payload(data) for part in read_chunks(data) if part.type == b"IDAT")

    first = png(Image.new(mode, size, hidden or frames[0]))
    parts, number = [chunk(b"acTL", struct.pack(">II", len(frames), 0))], 0
    if hidden:
        parts.append(chunk(b"IDAT", pixels(hidden)))
    for index, frame in enumerate(frames):
        colour, extent, offset = frame if isinstance(frame[0], tuple) else (frame, size, (0, 0))
        parts.append(fctl(number, extent, offset, dispose=dispose))
        number += 1
        if index == 0 and not hidden:
            parts.append(chunk(b"IDAT", pixels(colour, extent)))
            continue
        body = pixels(colour, extent)
        for piece in (body[: len(body) // 2], body[len(body) // 2 :]):
            parts.append(chunk(b"fdAT", struct.pack(">I", number) + piece))
            number += 1
    return SIGNATURE + first[8:33] + b"".join(parts) + chunk(b"IEND", b"")


@pytest.mark.parametrize("hidden", [None, BLUE])
def test_a_separate_default_image_is_not_a_frame(hidden):
    data = apng([RED, GREEN], hidden=hidden)
    result = process_image(data, PLAIN)
    assert result.details.frames == 2
    assert opened(result.variants[0].data).getpixel((10, 5)) == RED
    moving = opened(process_image(data, KEEPING).variants[0].data)
    shown = [frame.convert("RGB").getpixel((10, 5)) for frame in ImageSequence.Iterator(moving)]
    assert shown == [RED, GREEN]
    assert moving.info["duration"] == 100


@pytest.mark.parametrize(
    "missing", [b"acTL", b"fcTL", None], ids=["its acTL is missing", "its fcTL are missing", "it has 2^31 frames"]
)
def test_an_invalid_animation_is_its_default_image(missing):
    data = apng([RED, GREEN], hidden=BLUE)
    if missing is None:
        invalid = chunk(b"acTL", struct.pack(">II", 2**31, 0))
        data = data.replace(chunk(b"acTL", struct.pack(">II", 2, 0)), invalid)
    parts = [data[part.start : part.end] for part in read_chunks(data) if part.type != missing]
    result = process_image(SIGNATURE + b"".join(parts), PLAIN)
    assert result.details.frames == 1
    assert opened(result.variants[0].data).getpixel((10, 5)) == BLUE


def test_a_single_frame_after_a_default_image_is_the_image():
    result = process_image(apng([GREEN], hidden=BLUE), PLAIN)
    assert result.details.frames == 1
    assert opened(result.variants[0].data).getpixel((10, 5)) == GREEN


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_the_area_around_the_first_frame_is_transparent(mode):
    opaque = (255,) if mode == "RGBA" else ()
    frame = ((*GREEN, *opaque), (10, 10), (10, 0))
    data = apng([frame], hidden=(*BLUE, *opaque), mode=mode)
    shown = opened(process_image(data, PLAIN).variants[0].data).convert("RGBA")
    assert shown.getpixel((15, 5)) == (*GREEN, 255)
    assert shown.getpixel((5, 5))[3] == 0


@pytest.mark.parametrize("dispose", [0, 1, 2])
def test_areas_that_no_frame_has_drawn_stay_transparent(dispose):
    left, right = (RED, (10, 10), (0, 0)), (GREEN, (10, 10), (10, 0))
    data = apng([right, left, right], hidden=BLUE, dispose=dispose)
    moving = opened(process_image(data, KEEPING).variants[0].data)
    moving.seek(1)
    assert moving.convert("RGBA").getpixel((5, 5)) == (*RED, 255)
    assert moving.convert("RGBA").getpixel((15, 5))[3] == (255 if dispose == 0 else 0)
