"""A sample image: a gradient as PNG, always the same bytes."""

import struct
import zlib


def make_sample_image(width: int = 1024, height: int = 768) -> bytes:
    """Return a PNG of the given size in pixels, with red increasing to the right and blue downwards."""
    rows = (
        b"\x00" + b"".join(bytes((x * 255 // width, 96, y * 255 // height)) for x in range(width))
        for y in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits, RGB
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_make_chunk(kind, data) for kind, data in chunks)


def _make_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
