"""Writing of IFDs. libtiff and Pillow get these instead of untrusted ones, with no more tags than they need.

The result is always a classic TIFF, which both read in either byte order; Pillow reads no big-endian BigTIFF.
"""

import struct
from collections.abc import Mapping

from thumbmill.thumbnailer.imaging.codecs.tiff.ifd import HEIGHT, PHOTOMETRIC, WIDTH, Ifd, Tiff, Value
from thumbmill.thumbnailer.imaging.codecs.tiff.tags import (
    BITS_PER_SAMPLE,
    BLACK_IS_ZERO,
    COMPRESSION,
    EXTRA_SAMPLES,
    FILL_ORDER,
    PLANAR_CONFIGURATION,
    PREDICTOR,
    ROWS_PER_STRIP,
    SAMPLE_FORMAT,
    SAMPLES_PER_PIXEL,
    STRIP_BYTE_COUNTS,
    STRIP_OFFSETS,
    TILE_BYTE_COUNTS,
    TILE_LENGTH,
    TILE_OFFSETS,
    TILE_WIDTH,
)
from thumbmill.thumbnailer.imaging.model import UndecodableImageError

Tags = dict[int, Value]

ORIENTATION = 274
_EXIF_IFD, _GPS_IFD = 34665, 34853
_METADATA = (271, 272, ORIENTATION, 306, 34675)  # Make, Model, DateTime, ICC profile
_PIXEL_TAGS = (
    *(WIDTH, HEIGHT, BITS_PER_SAMPLE, COMPRESSION, PHOTOMETRIC, FILL_ORDER, STRIP_OFFSETS, SAMPLES_PER_PIXEL),
    *(ROWS_PER_STRIP, STRIP_BYTE_COUNTS, PLANAR_CONFIGURATION, PREDICTOR, TILE_WIDTH, TILE_LENGTH, TILE_OFFSETS),
    *(TILE_BYTE_COUNTS, EXTRA_SAMPLES, SAMPLE_FORMAT),
    *(292, 293, 347, *range(512, 522), *range(529, 533)),  # T4Options, T6Options, JPEG's and YCbCr's tags
)
_MAX_METADATA = 8 * 1024 * 1024  # bytes that are copied; the profile of a printing press has three million

_INLINE = 4  # bytes of a value that fits into its entry
_HEADER_BYTES = 8
_SHORT, _LONG, _SIGNED_LONG = 3, 4, 9  # field types
_NARROWED = {16: ("Q", _LONG, "I"), 17: ("q", _SIGNED_LONG, "i"), 18: ("Q", _LONG, "I")}  # BigTIFF's types


def write_header(tiff: Tiff, ifd: Ifd, size: tuple[int, int]) -> bytes:
    """Return a grey TIFF with the size and the metadata of an image, and no pixels."""
    tags = _copy_metadata(ifd) | {
        WIDTH: longs(tiff.byte_order, size[0]),
        HEIGHT: longs(tiff.byte_order, size[1]),
        BITS_PER_SAMPLE: shorts(tiff.byte_order, 8),
        PHOTOMETRIC: shorts(tiff.byte_order, BLACK_IS_ZERO),
        STRIP_OFFSETS: longs(tiff.byte_order, 2**32 - 1),
    }
    return _write(tiff, b"", tags, ifd)


def write_whole(tiff: Tiff, ifd: Ifd) -> bytes:
    """Return a file as it is, but with an IFD that has the known tags of one of its images only."""
    pixels = _copy(ifd, _PIXEL_TAGS, len(tiff.data))
    return _write(tiff, tiff.data[_HEADER_BYTES:], pixels | _copy_metadata(ifd), ifd)


def write_strips(rows: tuple[int, int, int], tags: Tags, strips: list[bytes]) -> bytes:
    """Return a TIFF of grey bytes in strips. ``rows``: bytes of a row, rows in all, and rows of a strip."""
    order, offsets, at = "<", list[int](), _HEADER_BYTES
    for strip in strips:
        offsets.append(at)
        at += len(strip)
    own = {
        WIDTH: longs(order, rows[0]),
        HEIGHT: longs(order, rows[1]),
        BITS_PER_SAMPLE: shorts(order, 8),
        PHOTOMETRIC: shorts(order, BLACK_IS_ZERO),
        STRIP_OFFSETS: longs(order, *offsets),
        ROWS_PER_STRIP: longs(order, rows[2]),
        STRIP_BYTE_COUNTS: longs(order, *(len(strip) for strip in strips)),
    }
    return b"".join((_header(order, at), *strips, _write_ifd(order, own | tags, at)))


def shorts(order: str, *numbers: int) -> Value:
    """Return a value of two-byte integers."""
    return Value(_SHORT, struct.pack(f"{order}{len(numbers)}H", *numbers))


def longs(order: str, *numbers: int) -> Value:
    """Return a value of four-byte integers."""
    return Value(_LONG, struct.pack(f"{order}{len(numbers)}I", *numbers))


def _copy_metadata(ifd: Ifd) -> Tags:
    return _copy(ifd, _METADATA, _MAX_METADATA)


def _copy(ifd: Ifd, tags: tuple[int, ...], bytes_left: int) -> Tags:
    """Copy tags, up to a number of bytes in all: many tags could refer to the same bytes of a file."""
    copied = Tags()
    for tag in tags:
        value = ifd.value(tag)
        if value is not None and len(value.data) <= bytes_left:
            copied[tag] = value
            bytes_left -= len(value.data)
    return copied


def _write(tiff: Tiff, body: bytes, tags: Tags, ifd: Ifd) -> bytes:
    """Return a file: its body, the IFDs of EXIF and GPS, and the one that refers to them."""
    order, parts, at = tiff.byte_order, [body], _HEADER_BYTES + len(body)
    for tag in (_EXIF_IFD, _GPS_IFD):
        offset = ifd.number(tag, 0)
        if not offset:
            continue
        try:
            private = tiff.read_ifd(offset)
        except UndecodableImageError:  # damaged metadata do not make an image undecodable
            continue
        tags = tags | {tag: longs(order, at)}
        parts.append(_write_ifd(order, _copy(private, private.tags, _MAX_METADATA), at))
        at += len(parts[-1])
    return b"".join((_header(order, at), *parts, _write_ifd(order, tags, at)))


def _header(order: str, offset: int) -> bytes:
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", offset)


def _write_ifd(order: str, tags: Mapping[int, Value], at: int) -> bytes:
    """Return an IFD for offset ``at``, the last of its chain, followed by the values that it refers to."""
    entries, values, begin = list[bytes](), list[bytes](), at + 2 + 12 * len(tags) + 4
    for tag, value in sorted(tags.items(), key=lambda item: item[0]):
        narrow = _narrow(order, value)
        inline = narrow.data.ljust(_INLINE, b"\0")
        if len(narrow.data) > _INLINE:
            inline = struct.pack(f"{order}I", begin)
            values.append(narrow.data + bytes(len(narrow.data) % 2))
            begin += len(values[-1])
        entries.append(struct.pack(f"{order}HHI", tag, narrow.field_type, narrow.count) + inline)
    return b"".join((struct.pack(f"{order}H", len(tags)), *entries, bytes(4), *values))


def _narrow(order: str, value: Value) -> Value:
    """Convert eight-byte integers to four bytes. No offset within a file that fits into memory needs more."""
    if value.field_type not in _NARROWED:
        return value
    code, field_type, narrow = _NARROWED[value.field_type]
    limit = 2 ** (31 if field_type == _SIGNED_LONG else 32) - 1
    numbers = (max(-limit, min(limit, number[0])) for number in struct.iter_unpack(order + code, value.data))
    return Value(field_type, b"".join(struct.pack(order + narrow, number) for number in numbers))
