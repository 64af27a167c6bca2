"""Checks of what the boxes of an AVIF or HEIF declare (ISO/IEC 14496-12 and 23008-12): items, sizes and grids."""

import struct
from collections.abc import Iterator

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.formats import Format
from thumbmill.thumbnailer.imaging.codecs.isobmff import Box, read_boxes
from thumbmill.thumbnailer.imaging.model import Limits, UndecodableImageError
from thumbmill.thumbnailer.imaging.preflight.costs import check_size

_MAX_ITEMS = 4_000  # a grid of 200 megapixels in tiles of 512 x 512 has 768
_MAX_BOXES = 4_000  # at all levels
_MAX_DEPTH = 4
_CONTAINERS = {b"meta": 4, b"iprp": 0, b"ipco": 0}  # and the bytes before their first box
_GRID_BYTES = 8  # version, flags, rows - 1, columns - 1, and two edges of at least two bytes each


def check_items(data: bytes, name: Format, limits: Limits, *, slow: bool) -> None:
    """Reject too many items or properties, and images, tiles and grids that are too large."""
    has_grid = False
    for number, box in enumerate(_walk_boxes(data, 0, len(data), _MAX_DEPTH)):
        if number >= _MAX_BOXES:
            raise UndecodableImageError(ErrorCode.IMAGE_TOO_LARGE, f"more than {_MAX_BOXES} boxes")
        body = data[box.start : box.end] if box.type in {b"iinf", b"ispe", b"idat"} else b""
        match box.type:
            case b"iinf":
                count = body[4:8] if body[:1] != b"\0" else body[4:6]
                if int.from_bytes(count) > _MAX_ITEMS:
                    raise UndecodableImageError(ErrorCode.IMAGE_TOO_LARGE, f"more than {_MAX_ITEMS} items")
                has_grid = b"grid" in body and b"iovl" not in body  # the data of an overlay begin differently
            case b"ispe" if len(body) >= 12:
                width, height = struct.unpack_from(">II", body, 4)
                check_size((width, height), name, limits, slow=slow)
            case b"idat" if has_grid:
                _check_grid(body, name, limits, slow=slow)


def _walk_boxes(data: bytes, start: int, end: int, depth: int) -> Iterator[Box]:
    """Yield every box down to the properties, each container before its boxes."""
    for box in read_boxes(data, start, end):
        yield box
        if box.type in _CONTAINERS and depth:
            yield from _walk_boxes(data, box.start + _CONTAINERS[box.type], box.end, depth - 1)


def _check_grid(data: bytes, name: Format, limits: Limits, *, slow: bool) -> None:
    """Check the grid at the beginning of the item data, where writers place it (23008-12, 6.6.2.3)."""
    if len(data) < _GRID_BYTES or data[0] != 0 or data[1] > 1:
        return
    edges = struct.unpack_from(">II" if data[1] and len(data) >= 12 else ">HH", data, 4)
    check_size((edges[0], edges[1]), name, limits, slow=slow)
