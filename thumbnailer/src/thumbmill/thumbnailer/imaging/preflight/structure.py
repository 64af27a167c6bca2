"""Check the structure of a file before any library reads it: how much its headers declare.

Libraries trust headers. Some spend time on a file that no limit on pixels bounds, or allocate a frame before its
size can be checked. So this adds up what the headers declare, in one pass that stops early. An invalid file is left
to the libraries, which reject it.
"""

import struct

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.formats import Format
from thumbmill.thumbnailer.imaging.codecs.gif_blocks import (
    EXTENSION_INTRODUCER,
    IMAGE_SEPARATOR,
    colour_table_bytes,
    skip_sub_blocks,
)
from thumbmill.thumbnailer.imaging.codecs.jpeg_segments import MARKER, SOS, STANDALONE
from thumbmill.thumbnailer.imaging.codecs.png_chunks import read_chunk_headers
from thumbmill.thumbnailer.imaging.codecs.tiff.ifd import count_pages
from thumbmill.thumbnailer.imaging.model import Limits, UndecodableImageError
from thumbmill.thumbnailer.imaging.preflight import isobmff_items
from thumbmill.thumbnailer.imaging.preflight.costs import check_size
from thumbmill.thumbnailer.imaging.preflight.tiff_ifd import check_first_ifd

_MAX_SEGMENTS = 5_000  # of a JPEG's header: 50 MB in segments of 64 KB are a sixth of that
_MAX_FILL_BYTES = 1 << 20  # between segments; cameras align thumbnails with them, by kilobytes
_MAX_CHUNKS = 10_000  # of a PNG or WebP, besides image data
_MAX_DATA_CHUNKS = 100_000  # of 8 KB each, as many programs write them, that is more than any upload
_IMAGE_DATA = {b"IDAT", b"fdAT"}


def check_structure(data: bytes, name: Format, limits: Limits, *, slow: bool) -> None:
    """Reject a file that declares too much. Raise UndecodableImageError; SlowImageError unless ``slow`` is set."""
    match name:
        case "JPEG":
            _check_jpeg(data)
        case "PNG":
            _check_png(data, limits, slow=slow)
        case "GIF":
            _check_gif(data, limits, slow=slow)
        case "WEBP":
            _check_webp(data, limits, slow=slow)
        case "TIFF":
            if count_pages(data, limits.frames) > limits.frames:
                raise too_many(limits.frames, "pages")
            check_first_ifd(data, limits, slow=slow)
        case "AVIF" | "HEIF":
            isobmff_items.check_items(data, name, limits, slow=slow)
        case "BMP":
            pass  # its header has a fixed size


def too_many(count: int, what: str) -> UndecodableImageError:
    """Return the error for too many frames, chunks or the like."""
    return UndecodableImageError(ErrorCode.IMAGE_TOO_LARGE, f"more than {count} {what}")


def _check_jpeg(data: bytes) -> None:
    """Read the segments before the first scan, as Pillow does in 0.5 µs for a fill byte and 5 µs for a segment."""
    position, fill_bytes, segments = 2, 0, 0
    while match := MARKER.search(data, position):
        fill_bytes += match.end() - 2 - position
        if fill_bytes > _MAX_FILL_BYTES:
            raise UndecodableImageError(ErrorCode.UNREADABLE_IMAGE, "the JPEG header has too many fill bytes")
        marker, position = match[1][0], match.end()
        if marker == SOS:
            return
        segments += 1
        if segments > _MAX_SEGMENTS:
            raise too_many(_MAX_SEGMENTS, "segments")
        position += 0 if marker in STANDALONE else int.from_bytes(data[position : position + 2])
    if len(data) - position > _MAX_FILL_BYTES:
        raise UndecodableImageError(ErrorCode.UNREADABLE_IMAGE, "the JPEG has no image data")


def _check_png(data: bytes, limits: Limits, *, slow: bool) -> None:
    other_chunks, data_chunks = 0, 0
    for kind, start, _ in read_chunk_headers(data):
        body = start + 8
        if kind in _IMAGE_DATA:
            data_chunks += 1
        else:
            other_chunks += 1
        if other_chunks > _MAX_CHUNKS:
            raise too_many(_MAX_CHUNKS, "chunks besides image data")
        if data_chunks > _MAX_DATA_CHUNKS:
            raise too_many(_MAX_DATA_CHUNKS, "chunks of image data")
        if kind in {b"IHDR", b"fcTL"} and body + 12 <= len(data):  # fcTL begins with a sequence number
            width, height = struct.unpack_from(">II", data, body if kind == b"IHDR" else body + 4)
            check_size((width, height), "PNG", limits, slow=slow)
        if kind == b"acTL" and body + 4 <= len(data) and int.from_bytes(data[body : body + 4]) > limits.frames:
            raise too_many(limits.frames, "frames")


def _check_gif(data: bytes, limits: Limits, *, slow: bool) -> None:
    """Check the logical screen and every frame: a frame is allocated whatever the size of the screen is.

    The first frame enlarges the screen if it exceeds it. Of further frames, what lies outside is not drawn.
    """
    if len(data) < 13:
        return
    screen_width, screen_height, flags = struct.unpack_from("<HHB", data, 6)
    frames, position = 0, 13 + colour_table_bytes(flags)
    while position < len(data) and data[position] in (IMAGE_SEPARATOR, EXTENSION_INTRODUCER):
        if data[position] == EXTENSION_INTRODUCER:
            position = skip_sub_blocks(data, position + 2)
            continue
        if position + 10 > len(data):
            return
        left, top, width, height, flags = struct.unpack_from("<HHHHB", data, position + 1)
        size = width, height
        if frames == 0:
            size = max(screen_width, left + width), max(screen_height, top + height)
        check_size(size, "GIF", limits, slow=slow)
        frames += 1
        if frames > limits.frames:
            raise too_many(limits.frames, "frames")
        position = skip_sub_blocks(data, position + 11 + colour_table_bytes(flags))


def _check_webp(data: bytes, limits: Limits, *, slow: bool) -> None:
    """Check the canvas and every frame: libwebp allocates two canvases as soon as it opens a file."""
    position, chunks, frames = 12, 0, 0
    while position + 8 <= len(data):
        kind, length = data[position : position + 4], _little_endian(data[position + 4 : position + 8])
        if size := _read_webp_size(kind, data[position + 8 : position + 8 + 16]):
            check_size(size, "WEBP", limits, slow=slow)
        frames += kind == b"ANMF"
        chunks += kind != b"ANMF"
        if frames > limits.frames:
            raise too_many(limits.frames, "frames")
        if chunks > _MAX_CHUNKS:
            raise too_many(_MAX_CHUNKS, "chunks")
        if kind in {b"VP8 ", b"VP8L"}:
            return
        position += 8 + length + length % 2


def _read_webp_size(kind: bytes, head: bytes) -> tuple[int, int] | None:
    """Return the size that a chunk declares, if any (RFC 9649, 2.5 to 2.7; RFC 6386, 9.1)."""
    match kind:
        case b"VP8X":
            return _little_endian(head[4:7]) + 1, _little_endian(head[7:10]) + 1
        case b"ANMF":
            return _little_endian(head[6:9]) + 1, _little_endian(head[9:12]) + 1
        case b"VP8L":
            return _little_endian(head[1:3]) % 2**14 + 1, (_little_endian(head[1:5]) >> 14) % 2**14 + 1
        case b"VP8 ":
            return _little_endian(head[6:8]) % 2**14, _little_endian(head[8:10]) % 2**14
    return None


def _little_endian(data: bytes) -> int:
    return int.from_bytes(data, "little")
