"""Righting what libavif or libheif refuse in the boxes of a file whose pictures are whole.

Two things of ISO/IEC 23008-12 that writers get wrong: the properties of items stand in one ``ipma`` box for each
version and set of flags, and an alpha picture has its size (``ispe``) as every other. The boxes are those of
ISO/IEC 14496-12. What is odd beyond that is left to the decoders.
"""

from thumbmill.thumbnailer.imaging.codecs.isobmff import (
    Box,
    PropertyAssociation,
    find_box,
    read_associations,
    read_boxes,
)

_FULL_HEAD = 4  # bytes: a version and flags
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0", b"urn:mpeg:hevc:2015:auxid:1\0")
_NARROW_IDS, _NARROW_INDICES = 0xFFFF, 0x7F


def repair(data: bytes) -> bytes:
    """Give an AVIF or HEIC with one ``ipma`` box and a size for its alpha.

    The very same is returned if it has both, or makes no sense.
    The repaired ``meta`` box goes to the end, and the old one becomes free space, so that no offset changes.
    """
    meta = find_box(data, 0, len(data), b"meta")
    properties = find_box(data, meta.start + _FULL_HEAD, meta.end, b"iprp") if meta else None
    container = find_box(data, properties.start, properties.end, b"ipco") if properties else None
    if meta is None or properties is None or container is None:
        return data
    boxes = [box for box in read_boxes(data, properties.start, properties.end) if box.type == b"ipma"]
    try:
        listed = [each for box in boxes for each in read_associations(data[box.start : box.end])]
        added = _find_sizes(data, list(read_boxes(data, container.start, container.end)), listed)
        if not listed or (len(boxes) == 1 and not added):
            return data
        body = _box(b"ipco", data[container.start : container.end]) + _write_associations(listed + added)
    except (IndexError, OverflowError):  # a box shorter than any, an item of too many properties
        return data
    start = properties.start - 8
    inside = data[meta.start : start] + _box(b"iprp", body) + data[properties.end : meta.end]
    name = meta.start - 4
    return data[:name] + b"free" + data[meta.start :] + _box(b"meta", inside)


def _find_sizes(data: bytes, properties: list[Box], listed: list[PropertyAssociation]) -> list[PropertyAssociation]:
    """Give alpha pictures that have no size that of the first item, whose alpha they are."""
    numbered = list(enumerate(properties, start=1))
    sized = {index for index, box in numbered if box.type == b"ispe"}
    clear = {
        index
        for index, box in numbered
        if box.type == b"auxC" and data[box.start + _FULL_HEAD : box.end].startswith(_ALPHA)
    }
    sizes = {each.item: each.index for each in reversed(listed) if each.index in sized}
    alphas = {each.item for each in listed if each.index in clear}
    size = next((sizes[each.item] for each in listed if each.item in sizes and each.item not in alphas), None)
    return [PropertyAssociation(item, size, is_essential=False) for item in sorted(alphas - sizes.keys()) if size]


def _write_associations(listed: list[PropertyAssociation]) -> bytes:
    items = dict[int, list[PropertyAssociation]]()
    for each in listed:
        items.setdefault(each.item, []).append(each)
    id_bytes = 2 if max(items) <= _NARROW_IDS else 4
    index_bytes = 1 if max(each.index for each in listed) <= _NARROW_INDICES else 2
    body = bytes((id_bytes // 4, 0, 0, index_bytes // 2)) + len(items).to_bytes(4)
    for item, associations in sorted(items.items()):
        body += item.to_bytes(id_bytes) + len(associations).to_bytes(1)
        for each in associations:
            body += (each.index | each.is_essential << (8 * index_bytes - 1)).to_bytes(index_bytes)
    return _box(b"ipma", body)


def _box(kind: bytes, body: bytes) -> bytes:
    return (8 + len(body)).to_bytes(4) + kind + body
