"""What an AVIF file says of its colours, in the boxes of ISO/IEC 14496-12 (ISOBMFF) and 23008-12 (HEIF).

Pillow hands out an AVIF's ICC profile, but not the code points that most files have instead.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from thumbmill.thumbnailer.imaging.colour_encodings import ColourEncoding, from_nclx

_MOST_BOXES = 10_000  # of one level
_META_HEAD = 4  # version and flags of a full box
_SAMPLE_ENTRY_BYTES = 78  # of a visual sample entry, before its boxes (ISO/IEC 14496-12, 12.1.3)
_WIDE_IDS, _WIDE_INDICES = 1, 1


@dataclass(frozen=True)
class Box:
    """A stretch of a file."""

    type: bytes
    start: int  # of what is in it
    end: int


@dataclass(frozen=True)
class PropertyAssociation:
    """A property of an item."""

    item: int
    index: int  # of the property, from 1; 0 is none
    is_essential: bool


def read_boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    """Give the boxes that lie whole between two places."""
    for _ in range(_MOST_BOXES):
        if start + 8 > end:
            return
        size, kind, body = _number(data[start : start + 4]), data[start + 4 : start + 8], start + 8
        if size == 1:
            size, body = _number(data[body : body + 8]), body + 8
        stop = start + size if size else end
        if stop > end or stop < body:
            return
        yield Box(kind, body, stop)
        start = stop


def read_encoding(data: bytes) -> ColourEncoding | None:
    """Say what the levels of an AVIF mean by its code points; None where it has none."""
    properties = list(_read_properties(data))
    for kind, body in properties:
        if kind == b"colr" and body[:4] == b"nclx" and len(body) >= 10:
            return from_nclx(_number(body[4:6]), _number(body[6:8]), _read_peak(properties))
    return None


def _read_peak(properties: list[tuple[bytes, bytes]]) -> float:
    """Give the brightest light in cd/m2, 0 for unknown."""
    return next((float(_number(body[:2])) for kind, body in properties if kind == b"clli" and len(body) >= 4), 0.0)


def _read_properties(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give the properties of the primary item, or, where there is none, of the track's pictures."""
    meta = find_box(data, 0, len(data), b"meta")
    if meta:
        yield from _read_item_properties(data, Box(b"meta", meta.start + _META_HEAD, meta.end))
    entry = _find_path(data, b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    if entry:
        for sample in read_boxes(data, entry.start + 8, entry.end):
            for box in read_boxes(data, sample.start + _SAMPLE_ENTRY_BYTES, sample.end):
                yield box.type, data[box.start : box.end]


def _read_item_properties(data: bytes, meta: Box) -> Iterator[tuple[bytes, bytes]]:
    primary = find_box(data, meta.start, meta.end, b"pitm")
    described = find_box(data, meta.start, meta.end, b"iprp")
    container = find_box(data, described.start, described.end, b"ipco") if described else None
    if primary is None or described is None or container is None:
        return
    wide = data[primary.start] > 0
    item = _number(data[primary.start + 4 : primary.start + (8 if wide else 6)])
    boxes = list(read_boxes(data, container.start, container.end))
    for box in read_boxes(data, described.start, described.end):
        if box.type != b"ipma":
            continue
        for association in read_associations(data[box.start : box.end]):
            if association.item == item and 0 < association.index <= len(boxes):
                found = boxes[association.index - 1]
                yield found.type, data[found.start : found.end]


def read_associations(body: bytes) -> Iterator[PropertyAssociation]:
    """Give what an ``ipma`` box has in it (ISO/IEC 23008-12, 9.3)."""
    id_bytes = 4 if body[0] >= _WIDE_IDS else 2
    index_bits = 15 if body[3] & _WIDE_INDICES else 7
    index_bytes = (index_bits + 1) // 8
    at = 8
    for _ in range(min(_number(body[4:8]), _MOST_BOXES)):
        item, count = _number(body[at : at + id_bytes]), _number(body[at + id_bytes : at + id_bytes + 1])
        at += id_bytes + 1
        for _ in range(count):
            number = _number(body[at : at + index_bytes])
            at += index_bytes
            yield PropertyAssociation(item, number & ((1 << index_bits) - 1), bool(number >> index_bits))


def find_box(data: bytes, start: int, end: int, kind: bytes) -> Box | None:
    """Find the first box of a kind that lies between two places."""
    return next((box for box in read_boxes(data, start, end) if box.type == kind), None)


def _find_path(data: bytes, *kinds: bytes) -> Box | None:
    found: Box | None = Box(b"", 0, len(data))
    for kind in kinds:
        found = find_box(data, found.start, found.end, kind) if found else None
    return found


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
