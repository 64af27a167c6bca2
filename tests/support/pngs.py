"""PNGs of any colour type and bit depth, interlaced or not: Pillow writes only a few kinds."""

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6  # colour types; PNG specification, table 11.1
SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
DEPTHS = {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16), RGBA: (8, 16)}

# Adam7's passes: first column and row, steps between columns and rows
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def write_png(pixels, colour, depth, *, interlaced=False, palette=b"", transparency=b""):
    """Write rows of pixels, each a tuple of samples. ``transparency`` is the data of tRNS."""
    width, height = len(pixels[0]), len(pixels)
    passes = _PASSES if interlaced else ((0, 0, 1, 1),)
    rows = [
        b"\0" + _pack([sample for pixel in row[left::across] for sample in pixel], depth)  # filter 0: none
        for left, top, across, down in passes
        for row in pixels[top::down]
        if row[left::across]
    ]
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    chunks = [
        (b"IHDR", header),
        (b"PLTE", palette),
        (b"tRNS", transparency),
        (b"IDAT", zlib.compress(b"".join(rows))),
    ]
    return SIGNATURE + b"".join(chunk(name, data) for name, data in chunks if data) + chunk(b"IEND", b"")


def chunk(name: bytes, data: bytes) -> bytes:
    """Return a chunk with its length and CRC."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _pack(samples, depth):
    if depth == 16:
        return struct.pack(f">{len(samples)}H", *samples)
    bits = "".join(f"{sample:0{depth}b}" for sample in samples)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
