"""What the first directory of a TIFF claims (TIFF 6.0, section 2; BigTIFF): bytes of tags, and tiles."""

import struct
from dataclasses import dataclass

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.model import Limits, UndecodableImageError
from thumbmill.thumbnailer.imaging.preflight.costs import check_size

_MOST_ENTRIES = 4_096  # of a directory; baseline ones have a dozen, DNG's some hundred
_MOST_VALUES = 1_000_000  # of a tag of numbers: strips of a row each, or the smallest tiles of the largest picture
_WIDTH, _HEIGHT, _TILE_WIDTH, _TILE_HEIGHT = 256, 257, 322, 323
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_SHORT, _BYTES = 3, {1, 2, 6, 7}  # types


@dataclass(frozen=True)
class _Layout:
    order: str  # of bytes, for ``struct``
    first: int  # where the first directory's offset lies
    offset: str  # an offset or count
    count: str  # of entries
    entry: int  # bytes


def check_claims(data: bytes, limits: Limits, *, slow: bool) -> None:
    """Refuse a TIFF whose first directory claims too much. Raises UndecodableImageError, SlowImageError."""
    layout = _read_layout(data)
    try:
        (at,) = struct.unpack_from(layout.order + layout.offset, data, layout.first)
        (entries,) = struct.unpack_from(layout.order + layout.count, data, at)
        if entries <= _MOST_ENTRIES:
            at += struct.calcsize(layout.order + layout.count)
            _check_directory(data, at, entries, layout, limits, slow=slow)
    except (struct.error, OverflowError):  # the latter for an offset beyond what memory can have
        return  # it ends, or makes no sense


def _read_layout(data: bytes) -> _Layout:
    order = "<" if data[:2] == b"II" else ">"
    if 43 in data[2:4]:
        return _Layout(order, 8, "Q", "Q", 20)
    return _Layout(order, 4, "I", "H", 12)


def _check_directory(data: bytes, at: int, entries: int, layout: _Layout, limits: Limits, *, slow: bool) -> None:
    total, claims = 0, dict[int, int]()
    for number in range(entries):
        entry = at + number * layout.entry
        tag, kind = struct.unpack_from(layout.order + "HH", data, entry)
        (count,) = struct.unpack_from(layout.order + layout.offset, data, entry + 4)
        total += count * _SIZES.get(kind, 0)
        if kind not in _BYTES and count > _MOST_VALUES:
            raise UndecodableImageError(ErrorCode.IMAGE_TOO_LARGE, f"a tag of {count} values")
        where = entry + 4 + struct.calcsize(layout.order + layout.offset)
        short = "H" if kind == _SHORT else "I"
        (claims[tag],) = struct.unpack_from(layout.order + short, data, where)
    if total > 2 * len(data):
        raise UndecodableImageError(ErrorCode.UNREADABLE_IMAGE, "its tags claim more bytes than it has")
    for across, down in ((_WIDTH, _HEIGHT), (_TILE_WIDTH, _TILE_HEIGHT)):
        if across in claims and down in claims:
            check_size((claims[across], claims[down]), "TIFF", limits, slow=slow)
