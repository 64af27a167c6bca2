"""The strips and tiles of a TIFF, decompressed.

Compression that is independent of pixels is undone by Pillow's libtiff. It gets a grey TIFF with rows of bytes: the
bytes of a chunk, with an IFD that is written here. So libtiff reads no tag of an untrusted file.
"""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
from PIL import TiffImagePlugin

from thumbmill.thumbnailer.imaging.codecs.tiff import writer
from thumbmill.thumbnailer.imaging.codecs.tiff.layout import PixelLayout
from thumbmill.thumbnailer.imaging.codecs.tiff.samples import Bytes
from thumbmill.thumbnailer.imaging.codecs.tiff.tags import COMPRESSION, FILL_ORDER, LSB_FIRST, NO_COMPRESSION
from thumbmill.thumbnailer.imaging.model import UndecodableImageError

BAND_BYTES = 1024 * 1024  # that are decompressed and converted at a time
_REVERSED_BITS = np.packbits(np.unpackbits(np.arange(256, dtype="u1")[:, None], axis=1)[:, ::-1], axis=1)[:, 0]


def read_bands(data: bytes, layout: PixelLayout, first: int, rows: int) -> Iterator[Bytes]:
    """Yield the rows of bytes of consecutive chunks, which have ``rows`` in all, in bands of about BAND_BYTES.

    Raise UndecodableImageError if data are missing or damaged, after what could be read before that.
    """
    step = max(1, BAND_BYTES // layout.row_bytes)
    height = layout.chunk_height
    rows_together = max(1, step // height) * height  # many small chunks cost less in one go
    for at in range(0, rows, rows_together):
        chunk, count = first + at // height, min(rows_together, rows - at)
        read = _read_uncompressed if layout.compression == NO_COMPRESSION else _decompress
        for band in read(data, layout, chunk, count):
            for top in range(0, len(band), step):
                yield band[top : top + step]


def _read_uncompressed(data: bytes, layout: PixelLayout, first: int, rows: int) -> Iterator[Bytes]:
    """Return a view of uncompressed chunks. The byte count of a single chunk is ignored, as in libtiff."""
    parts, damaged = list[Bytes](), ""
    for chunk in range(first, first + _count_chunks(layout, rows)):
        begin = int(layout.offsets[chunk])
        needed = min(layout.chunk_height, rows - layout.chunk_height * (chunk - first))
        present = min(needed, max(0, len(data) - begin) // layout.row_bytes)
        if layout.offsets.size > 1 and chunk < layout.byte_counts.size:
            present = min(present, int(layout.byte_counts[chunk]) // layout.row_bytes)
        count = present * layout.row_bytes
        part = np.frombuffer(data, "u1", count, begin if present else 0).reshape(present, layout.row_bytes)
        parts.append(_REVERSED_BITS[part] if layout.lsb_first else part)
        if present < needed:
            damaged = _name(layout, chunk)
            break
    yield parts[0] if len(parts) == 1 else np.concatenate(parts)
    if damaged:
        raise UndecodableImageError.unreadable(f"{damaged} is too short")


def _decompress(data: bytes, layout: PixelLayout, first: int, rows: int) -> Iterator[Bytes]:
    """Have libtiff decompress chunks as a grey image of their rows of bytes, and yield it in bands."""
    strips, is_truncated = list[bytes](), False
    for chunk in range(first, first + _count_chunks(layout, rows)):
        begin = int(layout.offsets[chunk])
        size = int(layout.byte_counts[chunk]) if chunk < layout.byte_counts.size else len(data)
        strips.append(data[begin : begin + size])
        if not strips[-1]:
            cause = f"{_name(layout, chunk)} is missing"
            raise UndecodableImageError.unreadable(cause, truncated=begin >= len(data))
        is_truncated = is_truncated or (chunk < layout.byte_counts.size and begin + size > len(data))
    tags = {
        COMPRESSION: writer.shorts("<", layout.compression),
        FILL_ORDER: writer.shorts("<", LSB_FIRST if layout.lsb_first else 1),
    }
    file = writer.write_strips((layout.row_bytes, rows, layout.chunk_height), tags, strips)
    image = TiffImagePlugin.TiffImageFile(BytesIO(file))
    try:
        image.load()
    except OSError as error:
        cause = f"{_name(layout, first)}: {error}"
        raise UndecodableImageError.unreadable(cause, truncated=is_truncated) from error
    step = max(1, BAND_BYTES // layout.row_bytes)
    for top in range(0, rows, step):
        band = image.crop((0, top, image.width, min(rows, top + step)))
        yield np.frombuffer(band.tobytes(), "u1").reshape(band.height, band.width)


def _count_chunks(layout: PixelLayout, rows: int) -> int:
    return -(-rows // layout.chunk_height)


def _name(layout: PixelLayout, chunk: int) -> str:
    return f"{'tile' if layout.is_tiled else 'strip'} {chunk + 1} of the TIFF"
