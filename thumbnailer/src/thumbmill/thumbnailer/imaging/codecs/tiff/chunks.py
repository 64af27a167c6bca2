"""A TIFF's strips and tiles, without their compression.

What compresses bytes and knows nothing of pixels is undone by Pillow's libtiff, which is shown a TIFF of grey rows
of bytes: a chunk's own bytes behind a directory of ours. So no tag of a stranger's gets as far as libtiff.
"""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import TiffImagePlugin

from thumbmill.thumbnailer.imaging.codecs.tiff import writer
from thumbmill.thumbnailer.imaging.codecs.tiff.layout import COMPRESSION, FILL_ORDER, NONE, PixelLayout
from thumbmill.thumbnailer.imaging.codecs.tiff.samples import Bytes
from thumbmill.thumbnailer.imaging.model import UndecodableImageError

BAND_BYTES = 1024 * 1024  # that are unpacked and turned into levels at a time
_REVERSED = np.packbits(np.unpackbits(np.arange(256, dtype="u1")[:, None], axis=1)[:, ::-1], axis=1)[:, 0]


def read_bands(data: bytes, layout: PixelLayout, first: int, rows: int) -> Iterator[Bytes]:
    """Give the rows of bytes of consecutive chunks, which have so many in all, some at a time.

    Raises UndecodableImageError where data are missing or damaged, after what could be read before that.
    """
    step = max(1, BAND_BYTES // layout.row_bytes)
    height = layout.chunk_height
    together = max(1, step // height) * height  # many small chunks cost less in one go
    for at in range(0, rows, together):
        chunks, count = first + at // height, min(together, rows - at)
        read = _read_plain if layout.compression == NONE else _unpack
        for band in read(data, layout, chunks, count):
            for top in range(0, len(band), step):
                yield band[top : top + step]


def _read_plain(data: bytes, layout: PixelLayout, first: int, rows: int) -> Iterator[Bytes]:
    """Look at chunks that are not compressed. Of a single one it is ignored how long it is said to be (libtiff)."""
    parts, damage = list[Bytes](), ""
    for chunk in range(first, first + _count_chunks(layout, rows)):
        begin = int(layout.offsets[chunk])
        wanted = min(layout.chunk_height, rows - layout.chunk_height * (chunk - first))
        there = min(wanted, max(0, len(data) - begin) // layout.row_bytes)
        if layout.offsets.size > 1 and chunk < layout.byte_counts.size:
            there = min(there, int(layout.byte_counts[chunk]) // layout.row_bytes)
        part = np.frombuffer(data, "u1", there * layout.row_bytes, begin if there else 0).reshape(
            there, layout.row_bytes
        )
        parts.append(_REVERSED[part] if layout.lsb_first else part)
        if there < wanted:
            damage = _name(layout, chunk)
            break
    yield parts[0] if len(parts) == 1 else np.concatenate(parts)
    if damage:
        raise UndecodableImageError.unreadable(f"{damage} is too short")


def _unpack(data: bytes, layout: PixelLayout, first: int, rows: int) -> Iterator[Bytes]:
    """Have libtiff unpack chunks into a grey picture of their rows, and give that in pieces."""
    strips, ends_early = list[bytes](), False
    for chunk in range(first, first + _count_chunks(layout, rows)):
        begin = int(layout.offsets[chunk])
        size = int(layout.byte_counts[chunk]) if chunk < layout.byte_counts.size else len(data)
        strips.append(data[begin : begin + size])
        if not strips[-1]:
            raise UndecodableImageError.unreadable(
                f"{_name(layout, chunk)} is missing", truncated=begin >= len(data)
            )
        ends_early = ends_early or (chunk < layout.byte_counts.size and begin + size > len(data))
    tags = {
        COMPRESSION: writer.shorts("<", layout.compression),
        FILL_ORDER: writer.shorts("<", 2 if layout.lsb_first else 1),
    }
    file = writer.write_strips((layout.row_bytes, rows, layout.chunk_height), tags, strips)
    image = TiffImagePlugin.TiffImageFile(BytesIO(file))
    try:
        image.load()
    except OSError as fault:
        cause = f"{_name(layout, first)}: {fault}"
        raise UndecodableImageError.unreadable(cause, truncated=ends_early) from fault
    step = max(1, BAND_BYTES // layout.row_bytes)
    for top in range(0, rows, step):
        piece = image.crop((0, top, image.width, min(rows, top + step)))
        yield np.frombuffer(piece.tobytes(), "u1").reshape(piece.height, piece.width)


def _count_chunks(layout: PixelLayout, rows: int) -> int:
    return -(-rows // layout.chunk_height)


def _name(layout: PixelLayout, chunk: int) -> str:
    return f"{'tile' if layout.is_tiled else 'strip'} {chunk + 1} of the TIFF"
