"""What a PNG file is made of, as its specification (third edition, 5 and 11) lays it out, and what of it counts.

A decoder that stumbles over what is not the picture helps nobody, so it is not shown that: text, time, and every
ancillary chunk that is broken, misplaced or there twice. Critical chunks are left to the decoder's judgement.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from thumbmill.thumbnailer.imaging.colour_encodings import ColourEncoding, from_cicp, from_gamma

_SIGNATURE_BYTES, _HEAD_BYTES, _CRC_BYTES = 8, 8, 4
_MOST_CHUNKS = 100_000  # of 8 KB each, as many programs write them, that is more than any upload
MAX_PROFILE_BYTES = 4 * 1024 * 1024  # unpacked; presses' largest have two to three
_ANCILLARY = 0x20  # a bit of the first letter (5.4)
_SIGN = b"\x80"  # no number in a PNG begins with this byte or a higher one (7.1)
_CHROMATICITIES = 32
_UNIT = 100_000  # of gAMA and cHRM, and the ten-thousandths of cLLI and mDCV
_CANDELA = 10_000

# Ancillary chunks that say something of the picture, once and before its pixels, with the lengths they can have.
_TOLD_ONCE: dict[bytes, tuple[int, ...]] = {
    b"tRNS": (),
    b"cICP": (4,),
    b"iCCP": (),
    b"sRGB": (1,),
    b"gAMA": (4,),
    b"cHRM": (_CHROMATICITIES,),
    b"mDCV": (24,),
    b"cLLI": (8,),
    b"eXIf": (),
    b"acTL": (8,),
}
_FRAMES = {b"fcTL", b"fdAT"}
_CLEAR_BYTES = {0: 2, 2: 6}  # of tRNS by colour type; a palette has up to as many as entries, others have none
_PALETTE = 3


@dataclass(frozen=True)
class Chunk:
    """A stretch of a file."""

    type: bytes
    start: int  # of its length, in the file
    end: int  # behind its checksum

    def payload(self, data: bytes) -> bytes:
        """Give what it says."""
        return data[self.start + _HEAD_BYTES : self.end - _CRC_BYTES]


def read_chunks(data: bytes) -> Iterator[Chunk]:
    """Give the whole chunks up to the end of the picture, or to what is none."""
    at = _SIGNATURE_BYTES
    for _ in range(_MOST_CHUNKS):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + _HEAD_BYTES]
        end = at + _HEAD_BYTES + length + _CRC_BYTES
        if end > len(data) or not kind.isalpha():
            return
        yield Chunk(kind, at, end)
        if kind == b"IEND":
            return
        at = end


def normalize_chunks(data: bytes) -> bytes:
    """Leave out what is not the picture's, put EXIF in front of the pixels, and begin with the first frame."""
    chunks = list(read_chunks(data))
    if not chunks or chunks[0].type != b"IHDR":
        return data
    kept = _choose(data, chunks)
    if _hides_default_image(kept):
        return data[:_SIGNATURE_BYTES] + b"".join(_begin_with_frame(data, kept)) + data[chunks[-1].end :]
    if kept == chunks:
        return data
    parts = [data[chunk.start : chunk.end] for chunk in kept]
    return b"".join((data[:_SIGNATURE_BYTES], *parts, data[chunks[-1].end :]))


def read_encoding(data: bytes) -> ColourEncoding | None:
    """Say what the levels mean, by a tidied file's cICP, else sRGB, else gAMA and cHRM; a profile stands apart."""
    told = {chunk.type: chunk.payload(data) for chunk in read_chunks(data) if chunk.type in _TOLD_ONCE}
    if b"cICP" in told:
        primaries, transfer, _, _ = told[b"cICP"]
        return from_cicp(primaries, transfer, _read_peak(told))
    if b"sRGB" in told or b"gAMA" not in told:
        return None
    chromaticities = None
    if b"cHRM" in told:
        white_x, white_y, *others = (value / _UNIT for value in struct.unpack(">8I", told[b"cHRM"]))
        chromaticities = (*others, white_x, white_y)
    return from_gamma(int.from_bytes(told[b"gAMA"], "big") / _UNIT, chromaticities)


def _read_peak(told: dict[bytes, bytes]) -> float:
    """Give the brightest light in cd/m2: of the pictures, else of the display they were made for; 0 for unknown."""
    content, display = told.get(b"cLLI", bytes(8))[:4], told.get(b"mDCV", bytes(24))[16:20]
    return (int.from_bytes(content, "big") or int.from_bytes(display, "big")) / _CANDELA


# --- which chunks count ----------------------------------------------------------------------------------------


def _choose(data: bytes, chunks: list[Chunk]) -> list[Chunk]:
    """Give the chunks that count, those before the pixels first."""
    told: dict[bytes, Chunk] = {}
    critical, begun = list[Chunk](), False
    for chunk in chunks:
        kind = chunk.type
        begun = begun or kind == b"IDAT"
        if not kind[0] & _ANCILLARY or kind in _FRAMES:
            critical.append(chunk)
        elif kind in _TOLD_ONCE and kind not in told and (not begun or kind == b"eXIf") and _is_sound(data, chunk):
            told[kind] = chunk
            if kind != b"eXIf":
                critical.append(chunk)
    palette = next((chunk.start for chunk in chunks if chunk.type == b"PLTE"), len(data))
    ignored = _find_ignored(data, told, palette)
    if b"acTL" not in told or all(chunk.type != b"fcTL" for chunk in chunks):
        ignored |= _FRAMES | {b"acTL"}  # no animation, or one without frames
    exif = [told[b"eXIf"]] if b"eXIf" in told else []
    return [critical[0], *exif, *(chunk for chunk in critical[1:] if chunk.type not in ignored)]


def _find_ignored(data: bytes, told: dict[bytes, Chunk], palette: int) -> set[bytes]:
    """Say which of the chunks that tell of colours others make void (PNG, third edition, 4.3 and 11.3.2)."""
    code_points = told.get(b"cICP")
    if code_points is None:
        return set()
    primaries, transfer, matrix, is_full_range = code_points.payload(data)
    means = from_cicp(primaries, transfer) if (matrix, is_full_range) == (0, 1) else None
    return {b"iCCP"} if means and code_points.start < palette else {b"cICP"}


def _is_sound(data: bytes, chunk: Chunk) -> bool:
    """Tell whether an ancillary chunk can be used."""
    body, lengths = chunk.payload(data), _TOLD_ONCE[chunk.type]
    covered = memoryview(data)[chunk.start + 4 : chunk.end - _CRC_BYTES]
    if zlib.crc32(covered) != int.from_bytes(data[chunk.end - _CRC_BYTES : chunk.end], "big"):
        return False
    if chunk.type == b"iCCP":
        return _can_be_unpacked(body)
    if chunk.type == b"tRNS":
        colour_type = data[25]
        return 0 < len(body) <= 256 if colour_type == _PALETTE else len(body) == _CLEAR_BYTES.get(colour_type)
    if chunk.type == b"acTL" and body[:1] >= _SIGN:
        return False
    return not lengths or len(body) in lengths


def _can_be_unpacked(body: bytes) -> bool:
    """Tell whether a profile unpacks whole, to no more than is looked at; takes no more memory than that."""
    name, separator, packed = body.partition(b"\0")
    if not (name and separator and packed[:1] == b"\0"):
        return False
    inflating = zlib.decompressobj()
    try:
        inflating.decompress(packed[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return False
    return inflating.eof


# --- animations ------------------------------------------------------------------------------------------------


def _hides_default_image(chunks: list[Chunk]) -> bool:
    """Tell whether IDAT holds a picture for those who know no animations, and is none of the frames (PNG, 4.9)."""
    kinds = [chunk.type for chunk in chunks]
    if b"acTL" not in kinds or b"IDAT" not in kinds or b"fdAT" not in kinds:
        return False
    return b"fcTL" not in kinds[: kinds.index(b"IDAT")]


def _begin_with_frame(data: bytes, chunks: list[Chunk]) -> Iterator[bytes]:
    """Write the file without its default image: the first frame takes its place, and all are counted anew."""
    number, control_chunks = 0, 0
    for chunk in chunks:
        body = chunk.payload(data)
        if chunk.type == b"IDAT":
            continue
        control_chunks += chunk.type == b"fcTL"
        if chunk.type == b"fdAT" and control_chunks == 1:
            yield _write(b"IDAT", body[4:])
        elif chunk.type in _FRAMES:
            yield _write(chunk.type, struct.pack(">I", number) + body[4:])
            number += 1
        else:
            yield data[chunk.start : chunk.end]


def _write(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
