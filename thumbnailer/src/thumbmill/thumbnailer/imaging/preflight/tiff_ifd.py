"""Checks of what the first IFD of a TIFF declares (TIFF 6.0, section 2; BigTIFF): sizes of tags and of tiles."""

import struct
from dataclasses import dataclass

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.codecs.tiff.ifd import HEIGHT, MAX_ENTRIES, TYPE_BYTES, WIDTH
from thumbmill.thumbnailer.imaging.codecs.tiff.tags import TILE_LENGTH, TILE_WIDTH
from thumbmill.thumbnailer.imaging.model import Limits, UndecodableImageError
from thumbmill.thumbnailer.imaging.preflight.costs import check_size

_MAX_VALUES = 1_000_000  # of a numeric tag: strips of one row each, or the smallest tiles of the largest image
_SHORT, _BYTE_TYPES = 3, {1, 2, 6, 7}


@dataclass(frozen=True)
class _FieldFormats:
    """Field formats, as ``struct`` has them, of a byte order in TIFF or BigTIFF."""

    byte_order: str
    first_offset: int  # the position of the first IFD's offset
    offset: str  # an offset, or the count of a tag's values
    entry_count: str  # the number of entries of an IFD
    entry_bytes: int


def check_first_ifd(data: bytes, limits: Limits, *, slow: bool) -> None:
    """Reject a TIFF whose first IFD declares too much. Raise UndecodableImageError or SlowImageError."""
    formats = _read_field_formats(data)
    try:
        (offset,) = struct.unpack_from(formats.byte_order + formats.offset, data, formats.first_offset)
        (entries,) = struct.unpack_from(formats.byte_order + formats.entry_count, data, offset)
        if entries <= MAX_ENTRIES:
            first_entry = offset + struct.calcsize(formats.byte_order + formats.entry_count)
            _check_entries(data, first_entry, entries, formats, limits, slow=slow)
    except (struct.error, OverflowError):  # the latter for an offset beyond the address space
        return  # the file is truncated or invalid: the decoder reports that


def _read_field_formats(data: bytes) -> _FieldFormats:
    byte_order = "<" if data[:2] == b"II" else ">"
    if 43 in data[2:4]:
        return _FieldFormats(byte_order, 8, "Q", "Q", 20)
    return _FieldFormats(byte_order, 4, "I", "H", 12)


def _check_entries(
    data: bytes, first_entry: int, entries: int, formats: _FieldFormats, limits: Limits, *, slow: bool
) -> None:
    total_bytes, numbers = 0, dict[int, int]()
    for index in range(entries):
        entry = first_entry + index * formats.entry_bytes
        tag, kind = struct.unpack_from(formats.byte_order + "HH", data, entry)
        (count,) = struct.unpack_from(formats.byte_order + formats.offset, data, entry + 4)
        total_bytes += count * TYPE_BYTES.get(kind, 0)
        if kind not in _BYTE_TYPES and count > _MAX_VALUES:
            raise UndecodableImageError(
                ErrorCode.IMAGE_TOO_LARGE, f"a TIFF tag of {count} values, more than {_MAX_VALUES}"
            )
        value = entry + 4 + struct.calcsize(formats.byte_order + formats.offset)
        number_format = "H" if kind == _SHORT else "I"
        (numbers[tag],) = struct.unpack_from(formats.byte_order + number_format, data, value)
    if total_bytes > 2 * len(data):
        raise UndecodableImageError(
            ErrorCode.UNREADABLE_IMAGE, "the TIFF tags declare more bytes than the file has"
        )
    for width, height in ((WIDTH, HEIGHT), (TILE_WIDTH, TILE_LENGTH)):
        if width in numbers and height in numbers:
            check_size((numbers[width], numbers[height]), "TIFF", limits, slow=slow)
