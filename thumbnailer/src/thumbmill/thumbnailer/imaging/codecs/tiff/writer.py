"""Writing a TIFF's directory: libtiff and Pillow are shown ours in a stranger's stead, with no more than they need.

It is a classic TIFF's in any case, which both read in either byte order; Pillow does not know a big-endian BigTIFF.
"""

import struct
from collections.abc import Mapping

from thumbmill.thumbnailer.imaging.codecs.tiff.ifd import HEIGHT, PHOTOMETRIC, WIDTH, Ifd, Tiff, Value
from thumbmill.thumbnailer.imaging.codecs.tiff.layout import (
    BITS,
    BLACK_IS_ZERO,
    COMPRESSION,
    EXTRA_SAMPLES,
    FILL_ORDER,
    PLANAR,
    PREDICTOR,
    ROWS_PER_STRIP,
    SAMPLE_FORMAT,
    SAMPLES,
    STRIP_BYTES,
    STRIP_OFFSETS,
    TILE_BYTES,
    TILE_HEIGHT,
    TILE_OFFSETS,
    TILE_WIDTH,
)
from thumbmill.thumbnailer.imaging.model import UndecodableImageError

Tags = dict[int, Value]

ORIENTATION = 274
_EXIF, _GPS = 34665, 34853  # directories of their own
_ABOUT = (271, 272, ORIENTATION, 306, 34675)  # maker, model, date, colour profile
_OF_PIXELS = (
    *(
        WIDTH,
        HEIGHT,
        BITS,
        COMPRESSION,
        PHOTOMETRIC,
        FILL_ORDER,
        STRIP_OFFSETS,
        SAMPLES,
        ROWS_PER_STRIP,
        STRIP_BYTES,
    ),
    *(PLANAR, PREDICTOR, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES, EXTRA_SAMPLES, SAMPLE_FORMAT),
    *(292, 293, 347, *range(512, 522), *range(529, 533)),  # options of fax and JPEG, and what YCbCr means
)
_MOST_ABOUT = 8 * 1024 * 1024  # bytes of metadata that are handed on; a press's profile has three million

_INLINE = 4  # bytes
_HEADER_BYTES = 8
_SHORT, _LONG, _SIGNED_LONG = 3, 4, 9  # types
_NARROWED = {16: ("Q", _LONG, "I"), 17: ("q", _SIGNED_LONG, "i"), 18: ("Q", _LONG, "I")}  # BigTIFF's types


def write_header(tiff: Tiff, directory: Ifd, size: tuple[int, int]) -> bytes:
    """Return a TIFF of grey that has a picture's size and what is said about it, and no pixels."""
    tags = _about(directory) | {
        WIDTH: longs(tiff.order, size[0]),
        HEIGHT: longs(tiff.order, size[1]),
        BITS: shorts(tiff.order, 8),
        PHOTOMETRIC: shorts(tiff.order, BLACK_IS_ZERO),
        STRIP_OFFSETS: longs(tiff.order, 2**32 - 1),
    }
    return _write(tiff, b"", tags, directory)


def write_whole(tiff: Tiff, directory: Ifd) -> bytes:
    """Return a file as it is, but with a directory of what is known about one of its pictures."""
    pixels = _gather(directory, _OF_PIXELS, len(tiff.data))
    return _write(tiff, tiff.data[_HEADER_BYTES:], pixels | _about(directory), directory)


def write_strips(rows: tuple[int, int, int], tags: Tags, strips: list[bytes]) -> bytes:
    """Return a TIFF of grey bytes in strips; ``rows`` are the bytes of each, how many there are, and in a strip."""
    order, offsets, at = "<", list[int](), _HEADER_BYTES
    for strip in strips:
        offsets.append(at)
        at += len(strip)
    own = {
        WIDTH: longs(order, rows[0]),
        HEIGHT: longs(order, rows[1]),
        BITS: shorts(order, 8),
        PHOTOMETRIC: shorts(order, BLACK_IS_ZERO),
        STRIP_OFFSETS: longs(order, *offsets),
        ROWS_PER_STRIP: longs(order, rows[2]),
        STRIP_BYTES: longs(order, *(len(strip) for strip in strips)),
    }
    return b"".join((_head(order, at), *strips, _directory(order, own | tags, at)))


def shorts(order: str, *numbers: int) -> Value:
    """Make a value of numbers of two bytes."""
    return Value(_SHORT, struct.pack(f"{order}{len(numbers)}H", *numbers))


def longs(order: str, *numbers: int) -> Value:
    """Make a value of numbers of four bytes."""
    return Value(_LONG, struct.pack(f"{order}{len(numbers)}I", *numbers))


def _about(directory: Ifd) -> Tags:
    return _gather(directory, _ABOUT, _MOST_ABOUT)


def _gather(directory: Ifd, tags: tuple[int, ...], left: int) -> Tags:
    """Take tags over, as long as so many bytes hold them: many could point at the same bytes of a file."""
    gathered = Tags()
    for tag in tags:
        value = directory.value(tag)
        if value is not None and len(value.data) <= left:
            gathered[tag] = value
            left -= len(value.data)
    return gathered


def _write(tiff: Tiff, body: bytes, tags: Tags, directory: Ifd) -> bytes:
    """Write a file: its body, the directories of EXIF and GPS, and the one that refers to them."""
    parts, at = [body], _HEADER_BYTES + len(body)
    for tag in (_EXIF, _GPS):
        offset = directory.number(tag, 0)
        if not offset:
            continue
        try:
            below = tiff.directory(offset)
        except UndecodableImageError:  # damaged metadata spoil no picture
            continue
        tags = tags | {tag: longs(tiff.order, at)}
        parts.append(_directory(tiff.order, _gather(below, below.tags, _MOST_ABOUT), at))
        at += len(parts[-1])
    return b"".join((_head(tiff.order, at), *parts, _directory(tiff.order, tags, at)))


def _head(order: str, offset: int) -> bytes:
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", offset)


def _directory(order: str, tags: Mapping[int, Value], at: int) -> bytes:
    """Return a directory that will stand at offset ``at``, the last of its chain, and what it refers to."""
    entries, behind, begin = list[bytes](), list[bytes](), at + 2 + 12 * len(tags) + 4
    for tag, value in sorted(tags.items(), key=lambda item: item[0]):
        narrow = _narrow(order, value)
        place = narrow.data.ljust(_INLINE, b"\0")
        if len(narrow.data) > _INLINE:
            place = struct.pack(f"{order}I", begin)
            behind.append(narrow.data + bytes(len(narrow.data) % 2))
            begin += len(behind[-1])
        entries.append(struct.pack(f"{order}HHI", tag, narrow.kind, narrow.count) + place)
    return b"".join((struct.pack(f"{order}H", len(tags)), *entries, bytes(4), *behind))


def _narrow(order: str, value: Value) -> Value:
    """Give numbers of eight bytes four; a file that fits our memory has no offsets that need more."""
    if value.kind not in _NARROWED:
        return value
    code, kind, narrow = _NARROWED[value.kind]
    limit = 2 ** (31 if kind == _SIGNED_LONG else 32) - 1
    numbers = (max(-limit, min(limit, number[0])) for number in struct.iter_unpack(order + code, value.data))
    return Value(kind, b"".join(struct.pack(order + narrow, number) for number in numbers))
