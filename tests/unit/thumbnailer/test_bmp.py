"""Every kind of BMP is decoded as in browsers, or rejected by its name.

The expected pixels are Chromium 156's; the headers are Microsoft's and OS/2's.
"""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.images import opened
from tests.unit.thumbnailer.options import make_options
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.codecs.bmp_header import read_header
from thumbmill.thumbnailer.imaging.model import UndecodableImageError
from thumbmill.thumbnailer.imaging.pipeline import process_image
from thumbmill.thumbnailer.presets.model import Preset

FULL_SIZE = Preset("full_size", width=64, height=64, format="png")
RED, GREEN, BLUE, BLACK, WHITE, GREY = (
    (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0), (255, 255, 255), (200, 200, 200),
)  # fmt: skip
NAMES = {RED: "R", GREEN: "G", BLUE: "B", BLACK: "K", WHITE: "W", GREY: "o"}
SQUARE = 4


def bmp(rows, bits, *, header=40, kind=0, palette=(), colours=0, masks=(), height=SQUARE, start=None):
    """Build a bitmap four pixels wide. ``rows`` are the bytes after the headers, from the lowest row."""
    if header == 12:
        body = struct.pack("<IHHHH", 12, SQUARE, height, 1, bits)
    else:
        fields = struct.pack("<IiiHHIIiiII", header, SQUARE, height, 1, bits, kind, len(rows), 0, 0, colours, 0)
        body = (fields + b"".join(mask.to_bytes(4, "little") for mask in masks)).ljust(header, b"\0")
        body = body[:header] if header < 40 else body
    entry = b"" if header == 12 else b"\0"
    table = b"".join(bytes(colour[::-1]) + entry for colour in palette)
    start = 14 + len(body) + len(table) if start is None else start
    return b"BM" + struct.pack("<IHHI", 14 + len(body) + len(table) + len(rows), 0, 0, start) + body + table + rows


def drawn(data):
    """Return the colours of each row by their names, with a dot for a transparent pixel."""
    image = opened(process_image(data, make_options(FULL_SIZE)).variants[0].data).convert("RGBA")
    pixels = [[image.getpixel((x, y)) for x in range(image.width)] for y in range(image.height)]
    return " ".join("".join(NAMES.get(pixel[:3], "?") if pixel[3] else "." for pixel in row) for row in pixels)


def indexed(bits, rows):
    """Pack rows of indices, each padded to four bytes."""
    packed = b""
    for row in rows:
        number = 0
        for index in row:
            number = number << bits | index
        packed += (number << (32 - bits * len(row)) if bits < 8 else number).to_bytes(4)
    return packed


def fields(bits, colours, rows=SQUARE):
    """Repeat a row of integers, padded to four bytes."""
    row = b"".join(colour.to_bytes(bits // 8, "little") for colour in colours)
    return row.ljust((len(row) + 3) // 4 * 4, b"\0") * rows


PALETTE = (BLACK, RED, GREEN, BLUE)
STEPS = indexed(8, [[0, 1, 2, 3]] * SQUARE)
CORNER = indexed(8, [[0, 0, 0, 0]] * 3 + [[1, 2, 3, 3]])
RGBX, ODD = (0xFF0000, 0xFF00, 0xFF), (0xFF, 0x3FC00, 0xFF00000)
SHOWN = {
    "8 bits": (bmp(STEPS, 8, palette=PALETTE, colours=4), "KRGB KRGB KRGB KRGB"),
    "from below": (bmp(CORNER, 8, palette=PALETTE, colours=4), "RGBB KKKK KKKK KKKK"),
    "from above": (bmp(CORNER, 8, palette=PALETTE, colours=4, height=-SQUARE), "KKKK KKKK KKKK RGBB"),
    "4 bits": (bmp(indexed(4, [[0, 1, 2, 3]] * 4), 4, palette=PALETTE, colours=4), "KRGB KRGB KRGB KRGB"),
    "2 bits": (bmp(indexed(2, [[0, 1, 2, 3]] * 4), 2, palette=PALETTE), "KRGB KRGB KRGB KRGB"),
    "1 bit": (bmp(indexed(1, [[0, 1, 1, 0]] * 4), 1, palette=(RED, BLUE)), "RBBR RBBR RBBR RBBR"),
    "1 bit, white first": (bmp(indexed(1, [[0, 1, 1, 0]] * 4), 1, palette=(WHITE, BLACK)), "WKKW WKKW WKKW WKKW"),
    "1 bit, one colour": (bmp(indexed(1, [[0, 1, 1, 0]] * 4), 1, palette=(RED,), colours=1), "RKKR RKKR RKKR RKKR"),
    # The bytes in the place of the palette are used as the palette: here, the pixels.
    "1 bit, no palette": (bmp(b"\xff\0\0\0\0\0\xff\0" + b"\x60\0\0\0" * 2, 1), "BRRB BRRB BBBB RRRR"),
    "an index too large": (
        bmp(indexed(8, [[0, 1, 9, 255]] * 4), 8, palette=PALETTE, colours=4), "KRKK KRKK KRKK KRKK",
    ),
    "more colours than bits allow": (bmp(STEPS, 8, palette=PALETTE * 75, colours=300), "KRGB KRGB KRGB KRGB"),
    "OS/2 1": (bmp(STEPS, 8, header=12, palette=PALETTE * 64), "KRGB KRGB KRGB KRGB"),
    "OS/2 2, short": (bmp(STEPS, 8, header=16, palette=PALETTE * 64), "KRGB KRGB KRGB KRGB"),
    "OS/2 2": (bmp(STEPS, 8, header=64, palette=PALETTE, colours=4), "KRGB KRGB KRGB KRGB"),
    "version 4": (bmp(STEPS, 8, header=108, palette=PALETTE, colours=4), "KRGB KRGB KRGB KRGB"),
    "version 5": (bmp(STEPS, 8, header=124, palette=PALETTE, colours=4), "KRGB KRGB KRGB KRGB"),
    "16 bits": (bmp(fields(16, [0, 0x7C00, 0x3E0, 0x1F]), 16), "KRGB KRGB KRGB KRGB"),
    "16 bits, 565": (
        bmp(fields(16, [0, 0xF800, 0x7E0, 0x1F]), 16, kind=3, masks=(0xF800, 0x7E0, 0x1F)), "KRGB KRGB KRGB KRGB",
    ),
    "16 bits, 231": (bmp(fields(16, [0, 0x30, 0xE, 1]), 16, kind=3, masks=(0x30, 0xE, 1)), "KRGB KRGB KRGB KRGB"),
    "16 bits, 4444": (
        bmp(fields(16, [0, 0xFF00, 0xF0F0, 0xF00F]), 16, header=124, kind=3, masks=(0xF00, 0xF0, 0xF, 0xF000)),
        ".RGB .RGB .RGB .RGB",
    ),
    "24 bits": (bmp(fields(24, [0, 0xFF0000, 0xFF00, 0xFF]), 24), "KRGB KRGB KRGB KRGB"),
    "32 bits": (bmp(fields(32, [0, 0xFF0000, 0xFF00, 0xFF]), 32), "KRGB KRGB KRGB KRGB"),
    "32 bits, unused bits that are not alpha": (bmp(fields(32, [0x90000000] * 4), 32), "KKKK KKKK KKKK KKKK"),
    "32 bits, masks": (bmp(fields(32, [0, *ODD]), 32, kind=3, masks=ODD), "KRGB KRGB KRGB KRGB"),
    "32 bits, ten each": (
        bmp(fields(32, [0, 0x3FF, 0xFFC00, 0x3FF00000]), 32, kind=3, masks=(0x3FF, 0xFFC00, 0x3FF00000)),
        "KRGB KRGB KRGB KRGB",
    ),
    "32 bits, alpha": (
        bmp(fields(32, [0, 0xFFFF0000, 0xFF00FF00, 0xFF0000FF]), 32, header=124, kind=3, masks=(*RGBX, 0xFF000000)),
        ".RGB .RGB .RGB .RGB",
    ),
    "32 bits, alpha in the shortest header": (
        bmp(fields(32, [0, 0xFFFF0000, 0xFF00FF00, 0xFF0000FF]), 32, kind=6, masks=(*RGBX, 0xFF000000)),
        ".RGB .RGB .RGB .RGB",
    ),
    "32 bits, all transparent": (
        bmp(fields(32, [0, *RGBX]), 32, header=124, kind=3, masks=(*RGBX, 0xFF000000)), ".... .... .... ....",
    ),
    "run lengths": (
        bmp(b"\4\1\0\0\2\2\2\3\0\0\0\4\0\1\2\3\0\0\4\0\0\1", 8, kind=1, palette=PALETTE, colours=4),
        "KKKK KRGB GGBB RRRR",
    ),
    "run lengths of 4 bits": (
        bmp(b"\4\x12\0\0\0\4\x01\x23\0\0\0\1", 4, kind=2, palette=PALETTE, colours=4), "KKKK KKKK KRGB RGRG",
    ),
    "run lengths with gaps": (
        bmp(b"\1\1\0\2\2\0\1\1\0\2\0\1\0\1", 8, kind=1, palette=(GREY, RED, GREEN), colours=3),
        "KKKK KKKK KKKK RKKR",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SHOWN)
def test_a_kind_of_bitmap(name):
    data, expected = SHOWN[name]
    assert drawn(data) == expected


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (bmp(b"\xff\xd8\xff", 0, kind=4), "a BMP with a JPEG inside is not supported"),
        (bmp(b"\x89PNG", 0, kind=5), "a BMP with a PNG inside is not supported"),
        (
            bmp(b"\0" * 9, 1, header=64, kind=3, palette=(RED, BLUE)),
            "an OS/2 bitmap with 1-bit Huffman encoding is not supported",
        ),
        (
            bmp(b"\0" * 9, 24, header=64, kind=4),
            "an OS/2 bitmap with 24-bit run-length encoding is not supported",
        ),
    ],
)
def test_an_unsupported_bmp_is_rejected_by_name(data, detail):
    with pytest.raises(UndecodableImageError) as rejected:
        process_image(data, make_options())
    assert (rejected.value.code, rejected.value.detail) == (ErrorCode.UNSUPPORTED_FORMAT, detail)


@pytest.mark.parametrize(
    "data",
    [
        bmp(STEPS, 30),
        bmp(STEPS, 8, kind=77, palette=PALETTE, colours=4),
        bmp(STEPS, 8),  # without a palette, and too short to have one
        bmp(STEPS, 8, palette=PALETTE, colours=4, height=0),
        bmp(b"\4\1\0\0\4\1", 8, kind=1, palette=PALETTE, colours=4),
        bmp(fields(16, [0, 1, 2, 3])[:-1], 16, kind=3, masks=(0x30, 0xE, 1)),
        bmp(fields(24, [0, 1, 2, 3])[:-1], 24),
    ],
)
def test_an_invalid_or_truncated_bmp_is_unreadable(data):
    with pytest.raises(UndecodableImageError) as rejected:
        process_image(data, make_options())
    assert rejected.value.code is ErrorCode.UNREADABLE_IMAGE


@given(st.data())
def test_random_damage_raises_no_other_error(data):
    damaged = bytearray(data.draw(st.sampled_from([intact for intact, _ in SHOWN.values()])))
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(14, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        header = read_header(bytes(damaged[: data.draw(st.integers(20, len(damaged)))]))
        if header.size[0] * header.size[1] < 1_000_000:
            process_image(bytes(damaged), make_options())
    except (UndecodableImageError, struct.error):
        pass
