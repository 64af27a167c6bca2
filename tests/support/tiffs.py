"""TIFFs of every kind, written by hand: depth, byte order, planes, tiles, compression, extra samples.

No code is shared with the thumbnailer, so that the two cannot be wrong in the same way.
"""

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, LAB = 0, 1, 2, 3, 5, 6, 8
NONE, LZW, DEFLATE, PACKBITS = 1, 5, 8, 32773
UNSPECIFIED, ASSOCIATED, UNASSOCIATED = 0, 1, 2
UNSIGNED, SIGNED, FLOAT = 1, 2, 3
BYTE, ASCII, SHORT, LONG, LONG8 = 1, 2, 3, 4, 16

_CODES = {BYTE: "B", SHORT: "H", LONG: "I", LONG8: "Q"}


@dataclass
class Page:
    """An image in a file: its tags, each a field type and numbers or bytes; its strips or tiles; its SubIFDs."""

    tags: dict[int, tuple[int, tuple | bytes]]
    chunks: list[bytes] = field(default_factory=list)
    sub_ifds: list["Page"] = field(default_factory=list)
    tiled: bool = False
    exif: "Page | None" = None


def page(samples, bits, photometric, *, order="<", planar=False, tile=None, rows=None, compression=NONE,
         predictor=1, extra=None, sample_format=UNSIGNED, tags=None, sub_ifds=()):  # fmt: skip
    """Make a page of samples, (rows, pixels, samples): integers of a bit depth, or floats."""
    samples = np.atleast_3d(samples)
    height, width, count = samples.shape
    planes = [samples[..., at : at + 1] for at in range(count)] if planar else [samples]
    across, down = tile or (width, rows or height)
    chunks = []
    for plane in planes:
        for top in range(0, height, down):
            for left in range(0, width, across):
                part = plane[top : top + down, left : left + across]
                if tile:
                    short, narrow = down - part.shape[0], across - part.shape[1]
                    part = np.pad(part, ((0, short), (0, narrow), (0, 0)), mode="edge")
                chunks.append(compress(_pack(part, bits, order, predictor), compression))
    all_tags = {
        256: (LONG, (width,)),
        257: (LONG, (height,)),
        258: (SHORT, (bits,) * count),
        259: (SHORT, (compression,)),
        262: (SHORT, (photometric,)),
        277: (SHORT, (count,)),
        284: (SHORT, (2 if planar else 1,)),
        317: (SHORT, (predictor,)),
        339: (SHORT, (sample_format,) * count),
        **({322: (LONG, (across,)), 323: (LONG, (down,))} if tile else {278: (LONG, (down,))}),
        **({338: (SHORT, tuple(extra))} if extra else {}),
        **(tags or {}),
    }
    return Page(all_tags, chunks, list(sub_ifds), tiled=tile is not None)


def tiff(*pages, order="<", big=False):
    """Write pages as a chain of IFDs."""
    out = bytearray(
        struct.pack(f"{order}2sHHHQ", b"", 43, 8, 0, 0) if big else struct.pack(f"{order}2sHI", b"", 42, 0)
    )
    out[:2] = b"II" if order == "<" else b"MM"
    link = 8 if big else 4
    for each in pages:
        at, next_link = _write(out, each, order, big)
        struct.pack_into(order + ("Q" if big else "I"), out, link, at)
        link = next_link
    return bytes(out)


def one(samples, bits, photometric, *, order="<", big=False, **options):
    """Write a file of one page."""
    return tiff(page(samples, bits, photometric, order=order, **options), order=order, big=big)


def _write(out, each, order, big):
    """Write a page. Return the offset of its IFD, and that of the field with the next IFD's offset."""
    sub_ifds = tuple(_write(out, sub, order, big)[0] for sub in each.sub_ifds)
    tags = dict(each.tags)
    if sub_ifds:
        tags[330] = (LONG, sub_ifds)
    if each.exif:
        tags[34665] = (LONG, (_write(out, each.exif, order, big)[0],))
    offsets = []
    for chunk in each.chunks:
        offsets.append(len(out))
        out += chunk
    if offsets:
        tags[324 if each.tiled else 273] = (LONG, tuple(offsets))
        tags[325 if each.tiled else 279] = (LONG, tuple(len(chunk) for chunk in each.chunks))
    inline, code = (8, "Q") if big else (4, "I")
    entries = b""
    for tag, (field_type, values) in sorted(tags.items()):
        data = (
            values
            if isinstance(values, bytes)
            else struct.pack(f"{order}{len(values)}{_CODES[field_type]}", *values)
        )
        count = len(values)
        if len(data) > inline:
            out += bytes(len(out) % 2)
            value = struct.pack(order + code, len(out))
            out += data
        else:
            value = data.ljust(inline, b"\0")
        entries += struct.pack(f"{order}HH{code}", tag, field_type, count) + value
    out += bytes(len(out) % 2)
    at = len(out)
    out += struct.pack(order + ("Q" if big else "H"), len(tags)) + entries + bytes(inline)
    return at, len(out) - inline


def _pack(part, bits, order, predictor):
    """Convert samples to rows of bytes."""
    rows, pixels, count = part.shape
    if part.dtype.kind == "f":
        if predictor == 3:
            by_significance = part.astype(f">f{bits // 8}").view("u1").reshape(rows, pixels * count, bits // 8)
            return _differences(by_significance.transpose(0, 2, 1).reshape(rows, -1, count)).tobytes()
        return part.astype(f"{order}f{bits // 8}").tobytes()
    if predictor == 2:
        part = _differences(part.astype(f"u{bits // 8}"))
    if bits in {8, 16, 32, 64}:
        return part.astype(f"{order}u{bits // 8}").tobytes()
    lowest = np.arange(bits - 1, -1, -1, dtype="u8")
    single = (part.astype("u8").reshape(rows, -1, 1) >> lowest) & 1
    packed = np.packbits(single.astype("u1").reshape(rows, -1), axis=1)
    if bits == 24 and order == "<":
        packed = packed.reshape(rows, -1, 3)[..., ::-1]
    return packed.tobytes()


def _differences(part):
    return np.concatenate((part[:, :1], part[:, 1:] - part[:, :-1]), axis=1)


def compress(data, compression):
    """Compress a chunk."""
    match compression:
        case 8:
            return zlib.compress(data)
        case 5:
            return _lzw(data)
        case 32773:  # literal runs only
            parts = (data[at : at + 128] for at in range(0, len(data), 128))
            return b"".join(bytes((len(part) - 1,)) + part for part in parts)
        case _:
            return data


def _lzw(data):
    """Write literal codes of nine bits. A clear code precedes the point where they would need ten."""
    codes = []
    for at in range(0, len(data), 250):
        codes += [256, *data[at : at + 250]]
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8)
