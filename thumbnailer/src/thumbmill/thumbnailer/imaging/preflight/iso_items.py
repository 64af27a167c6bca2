"""What the boxes of an AVIF or HEIF claim (ISO/IEC 14496-12 and 23008-12): items, sizes, grids."""

import struct
from collections.abc import Iterator

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.formats import Format
from thumbmill.thumbnailer.imaging.codecs.isobmff import Box, read_boxes
from thumbmill.thumbnailer.imaging.model import Limits, UndecodableImageError
from thumbmill.thumbnailer.imaging.preflight.costs import check_size

_MOST_ITEMS = 4_000  # a grid of 200 megapixels in tiles of 512 x 512 has 768
_MOST_BOXES = 4_000  # of all levels
_MOST_DEPTH = 4
_CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0}  # with the bytes in front of their boxes
_GRID_BYTES = 8  # version, flags, rows - 1, columns - 1, and the edges of two bytes each at least


def check_items(data: bytes, name: Format, limits: Limits, *, slow: bool) -> None:
    """Refuse too many items or properties, and too large a size, of a picture, a tile or a grid."""
    has_grid = False
    for number, box in enumerate(_walk(data, 0, len(data), _MOST_DEPTH)):
        if number >= _MOST_BOXES:
            raise UndecodableImageError(ErrorCode.IMAGE_TOO_LARGE, f"more than {_MOST_BOXES} boxes")
        body = data[box.start : box.end] if box.type in {b"iinf", b"ispe", b"idat"} else b""
        match box.type:
            case b"iinf":
                count = body[4:8] if body[:1] != b"\0" else body[4:6]
                if int.from_bytes(count) > _MOST_ITEMS:
                    raise UndecodableImageError(ErrorCode.IMAGE_TOO_LARGE, f"more than {_MOST_ITEMS} items")
                has_grid = b"grid" in body and b"iovl" not in body  # an overlay's data begin otherwise
            case b"ispe" if len(body) >= 12:
                width, height = struct.unpack_from(">II", body, 4)
                check_size((width, height), name, limits, slow=slow)
            case b"idat" if has_grid:
                _check_grids(body, name, limits, slow=slow)


def _walk(data: bytes, start: int, end: int, depth: int) -> Iterator[Box]:
    """Give every box down to the properties, a container's own ones behind it."""
    for box in read_boxes(data, start, end):
        yield box
        if box.type in _CONTAINERS and depth:
            yield from _walk(data, box.start + _CONTAINERS[box.type], box.end, depth - 1)


def _check_grids(data: bytes, name: Format, limits: Limits, *, slow: bool) -> None:
    """Check the grid that stands first among the items' own data, as writers place it (23008-12, 6.6.2.3)."""
    if len(data) < _GRID_BYTES or data[0] != 0 or data[1] > 1:
        return
    edges = struct.unpack_from(">II" if data[1] and len(data) >= 12 else ">HH", data, 4)
    check_size((edges[0], edges[1]), name, limits, slow=slow)
