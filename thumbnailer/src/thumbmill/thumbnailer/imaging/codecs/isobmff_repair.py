"""Repair of boxes that libavif or libheif reject, in files whose images are intact.

Writers break two rules of ISO/IEC 23008-12: there is one ``ipma`` box for each version and set of flags, and an
alpha image has a size (``ispe``) like every other image item. The boxes are those of ISO/IEC 14496-12. All other
errors are left to the decoders.
"""

from thumbmill.thumbnailer.imaging.codecs.isobmff import (
    Box,
    PropertyAssociation,
    find_box,
    read_associations,
    read_boxes,
)

_FULL_BOX_BYTES = 4  # version and flags
_ALPHA = (b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\0", b"urn:mpeg:hevc:2015:auxid:1\0")
_MAX_SHORT_ID, _MAX_SHORT_INDEX = 0xFFFF, 0x7F


def repair(data: bytes) -> bytes:
    """Return an AVIF or HEIC with one ``ipma`` box and a size for its alpha image.

    Return the data themselves if the file has both already, or if it is invalid.
    The repaired ``meta`` box is appended, and the old one becomes free space, so that no offset changes.
    """
    meta = find_box(data, 0, len(data), b"meta")
    iprp = find_box(data, meta.start + _FULL_BOX_BYTES, meta.end, b"iprp") if meta else None
    ipco = find_box(data, iprp.start, iprp.end, b"ipco") if iprp else None
    if meta is None or iprp is None or ipco is None:
        return data
    boxes = [box for box in read_boxes(data, iprp.start, iprp.end) if box.type == b"ipma"]
    try:
        associations = [each for box in boxes for each in read_associations(data[box.start : box.end])]
        added = _find_missing_sizes(data, list(read_boxes(data, ipco.start, ipco.end)), associations)
        if not associations or (len(boxes) == 1 and not added):
            return data
        body = _box(b"ipco", data[ipco.start : ipco.end]) + _write_associations(associations + added)
    except (IndexError, OverflowError):  # a box that is too short, an item with too many properties
        return data
    start = iprp.start - 8
    contents = data[meta.start : start] + _box(b"iprp", body) + data[iprp.end : meta.end]
    type_start = meta.start - 4
    return data[:type_start] + b"free" + data[meta.start :] + _box(b"meta", contents)


def _find_missing_sizes(
    data: bytes, properties: list[Box], associations: list[PropertyAssociation]
) -> list[PropertyAssociation]:
    """Return associations of alpha images that have no size with that of the first item, whose alpha they are."""
    numbered = list(enumerate(properties, start=1))
    size_indices = {index for index, box in numbered if box.type == b"ispe"}
    alpha_indices = {
        index
        for index, box in numbered
        if box.type == b"auxC" and data[box.start + _FULL_BOX_BYTES : box.end].startswith(_ALPHA)
    }
    sizes = {each.item: each.index for each in reversed(associations) if each.index in size_indices}
    alphas = {each.item for each in associations if each.index in alpha_indices}
    with_size = (each.item for each in associations if each.item in sizes and each.item not in alphas)
    size = next((sizes[item] for item in with_size), None)
    return [PropertyAssociation(item, size, is_essential=False) for item in sorted(alphas - sizes.keys()) if size]


def _write_associations(associations: list[PropertyAssociation]) -> bytes:
    items = dict[int, list[PropertyAssociation]]()
    for each in associations:
        items.setdefault(each.item, []).append(each)
    id_bytes = 2 if max(items) <= _MAX_SHORT_ID else 4
    index_bytes = 1 if max(each.index for each in associations) <= _MAX_SHORT_INDEX else 2
    body = bytes((id_bytes // 4, 0, 0, index_bytes // 2)) + len(items).to_bytes(4)
    for item, properties in sorted(items.items()):
        body += item.to_bytes(id_bytes) + len(properties).to_bytes(1)
        for each in properties:
            body += (each.index | each.is_essential << (8 * index_bytes - 1)).to_bytes(index_bytes)
    return _box(b"ipma", body)


def _box(box_type: bytes, body: bytes) -> bytes:
    return (8 + len(body)).to_bytes(4) + box_type + body
