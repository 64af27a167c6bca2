"""The boxes of AVIF and HEIC files (ISO/IEC 14496-12, ISOBMFF; 23008-12, HEIF), and the colour encoding in them.

Pillow returns an AVIF's ICC profile, but not the code points (CICP) that most files have instead.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from thumbmill.thumbnailer.imaging.colour_encodings import ColourEncoding, from_nclx

_MAX_BOXES = 10_000  # of one level
_FULL_BOX_BYTES = 4  # version and flags of a full box
_SAMPLE_ENTRY_BYTES = 78  # of a visual sample entry, before its boxes (ISO/IEC 14496-12, 12.1.3)
_LONG_IDS_VERSION, _LONG_INDICES_FLAG = 1, 1  # of an ``ipma`` box


@dataclass(frozen=True)
class Box:
    """A box in a file."""

    type: bytes
    start: int  # of its contents
    end: int


@dataclass(frozen=True)
class PropertyAssociation:
    """An association of an item with a property."""

    item: int
    index: int  # of the property, from 1; 0: none
    is_essential: bool


def read_boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    """Yield the complete boxes between two offsets."""
    for _ in range(_MAX_BOXES):
        if start + 8 > end:
            return
        size, box_type, body = _number(data[start : start + 4]), data[start + 4 : start + 8], start + 8
        if size == 1:
            size, body = _number(data[body : body + 8]), body + 8
        stop = start + size if size else end
        if stop > end or stop < body:
            return
        yield Box(box_type, body, stop)
        start = stop


def read_encoding(data: bytes) -> ColourEncoding | None:
    """Return the colour encoding of an AVIF by its code points; None if it has none."""
    properties = list(_read_properties(data))
    for box_type, body in properties:
        if box_type == b"colr" and body[:4] == b"nclx" and len(body) >= 10:
            return from_nclx(_number(body[4:6]), _number(body[6:8]), _read_peak(properties))
    return None


def _read_peak(properties: list[tuple[bytes, bytes]]) -> float:
    """Return the peak luminance in cd/m2, 0 if unknown."""
    levels = (body for box_type, body in properties if box_type == b"clli" and len(body) >= 4)
    return next((float(_number(body[:2])) for body in levels), 0.0)


def _read_properties(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the properties of the primary item, then those of the tracks of a sequence."""
    meta = find_box(data, 0, len(data), b"meta")
    if meta:
        yield from _read_item_properties(data, Box(b"meta", meta.start + _FULL_BOX_BYTES, meta.end))
    entry = _find_path(data, b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    if entry:
        for sample in read_boxes(data, entry.start + 8, entry.end):
            for box in read_boxes(data, sample.start + _SAMPLE_ENTRY_BYTES, sample.end):
                yield box.type, data[box.start : box.end]


def _read_item_properties(data: bytes, meta: Box) -> Iterator[tuple[bytes, bytes]]:
    pitm = find_box(data, meta.start, meta.end, b"pitm")
    iprp = find_box(data, meta.start, meta.end, b"iprp")
    ipco = find_box(data, iprp.start, iprp.end, b"ipco") if iprp else None
    if pitm is None or iprp is None or ipco is None:
        return
    id_end = pitm.start + (8 if data[pitm.start] > 0 else 6)
    primary = _number(data[pitm.start + 4 : id_end])
    properties = list(read_boxes(data, ipco.start, ipco.end))
    for box in read_boxes(data, iprp.start, iprp.end):
        if box.type != b"ipma":
            continue
        for association in read_associations(data[box.start : box.end]):
            if association.item == primary and 0 < association.index <= len(properties):
                found = properties[association.index - 1]
                yield found.type, data[found.start : found.end]


def read_associations(body: bytes) -> Iterator[PropertyAssociation]:
    """Yield the associations of an ``ipma`` box (ISO/IEC 23008-12, 9.3)."""
    id_bytes = 4 if body[0] >= _LONG_IDS_VERSION else 2
    index_bits = 15 if body[3] & _LONG_INDICES_FLAG else 7
    index_bytes = (index_bits + 1) // 8
    at = 8
    for _ in range(min(_number(body[4:8]), _MAX_BOXES)):
        item, count = _number(body[at : at + id_bytes]), _number(body[at + id_bytes : at + id_bytes + 1])
        at += id_bytes + 1
        for _ in range(count):
            number = _number(body[at : at + index_bytes])
            at += index_bytes
            yield PropertyAssociation(item, number & ((1 << index_bits) - 1), bool(number >> index_bits))


def find_box(data: bytes, start: int, end: int, box_type: bytes) -> Box | None:
    """Return the first box of a type between two offsets."""
    return next((box for box in read_boxes(data, start, end) if box.type == box_type), None)


def _find_path(data: bytes, *box_types: bytes) -> Box | None:
    found: Box | None = Box(b"", 0, len(data))
    for box_type in box_types:
        found = find_box(data, found.start, found.end, box_type) if found else None
    return found


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")
