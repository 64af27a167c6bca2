"""The chunks of a PNG (specification, third edition, 5 and 11), and which of them a decoder gets.

A decoder must not fail because of a chunk that does not affect the image. So it does not get text, time, and
ancillary chunks that are damaged, misplaced or duplicates. It judges critical chunks itself.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from thumbmill.thumbnailer.imaging.colour_encodings import ColourEncoding, from_cicp, from_gamma

_SIGNATURE_BYTES, _CHUNK_HEADER_BYTES, _CRC_BYTES = 8, 8, 4
_MAX_CHUNKS = 100_000  # of 8 KB each, as many programs write them, that is more than any upload
MAX_PROFILE_BYTES = 4 * 1024 * 1024  # decompressed; the largest ones of printing presses have two to three
_ANCILLARY = 0x20  # a bit of the first byte of the chunk type (5.4)
_SIGN = b"\x80"  # no integer in a PNG begins with this byte or a higher one (7.1)
_CHROMATICITIES = 32
_UNIT = 100_000  # of gAMA and cHRM
_CANDELA = 10_000  # of cLLI and mDCV, per square metre

# Ancillary chunks that affect the image, with their valid lengths (none: any). Each may occur once, before IDAT.
_VALID_LENGTHS: dict[bytes, tuple[int, ...]] = {
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
_FRAME_CHUNKS = {b"fcTL", b"fdAT"}
_TRNS_BYTES = {0: 2, 2: 6}  # by colour type; for a palette, at most one per entry; others have no tRNS
_PALETTE = 3


@dataclass(frozen=True)
class Chunk:
    """A chunk in a file."""

    type: bytes
    start: int  # of its length field, in the file
    end: int  # after its CRC

    def payload(self, data: bytes) -> bytes:
        """Return the chunk data."""
        return data[self.start + _CHUNK_HEADER_BYTES : self.end - _CRC_BYTES]


def read_chunk_headers(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield type, start and end of every chunk up to IEND, even if it is incomplete or its type is invalid."""
    at = _SIGNATURE_BYTES
    while at + _CHUNK_HEADER_BYTES <= len(data):
        length, chunk_type = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + _CHUNK_HEADER_BYTES]
        end = at + _CHUNK_HEADER_BYTES + length + _CRC_BYTES
        yield chunk_type, at, end
        if chunk_type == b"IEND":
            return
        at = end


def read_chunks(data: bytes) -> Iterator[Chunk]:
    """Yield the complete chunks up to IEND, or to what is not a chunk."""
    for chunk_type, start, end in islice(read_chunk_headers(data), _MAX_CHUNKS):
        if end > len(data) or not chunk_type.isalpha():
            return
        yield Chunk(chunk_type, start, end)


def normalize_chunks(data: bytes) -> bytes:
    """Remove chunks that do not affect the image, put eXIf before IDAT, and begin with the first frame."""
    chunks = list(read_chunks(data))
    if not chunks or chunks[0].type != b"IHDR":
        return data
    kept = _select(data, chunks)
    if _has_separate_default_image(kept):
        return data[:_SIGNATURE_BYTES] + b"".join(_begin_with_frame(data, kept)) + data[chunks[-1].end :]
    if kept == chunks:
        return data
    parts = [data[chunk.start : chunk.end] for chunk in kept]
    return b"".join((data[:_SIGNATURE_BYTES], *parts, data[chunks[-1].end :]))


def read_encoding(data: bytes) -> ColourEncoding | None:
    """Return the colour encoding of a normalized file, by cICP, else sRGB, else gAMA and cHRM. Ignore profiles."""
    found = {chunk.type: chunk.payload(data) for chunk in read_chunks(data) if chunk.type in _VALID_LENGTHS}
    if b"cICP" in found:
        primaries, transfer, _, _ = found[b"cICP"]
        return from_cicp(primaries, transfer, _read_peak(found))
    if b"sRGB" in found or b"gAMA" not in found:
        return None
    chromaticities = None
    if b"cHRM" in found:
        white_x, white_y, *others = (value / _UNIT for value in struct.unpack(">8I", found[b"cHRM"]))
        chromaticities = (*others, white_x, white_y)
    return from_gamma(int.from_bytes(found[b"gAMA"], "big") / _UNIT, chromaticities)


def _read_peak(found: dict[bytes, bytes]) -> float:
    """Return the peak luminance in cd/m2, of the content or else of the mastering display; 0 if unknown."""
    content, display = found.get(b"cLLI", bytes(8))[:4], found.get(b"mDCV", bytes(24))[16:20]
    return (int.from_bytes(content, "big") or int.from_bytes(display, "big")) / _CANDELA


# --- selection of chunks ---------------------------------------------------------------------------------------


def _select(data: bytes, chunks: list[Chunk]) -> list[Chunk]:
    """Return the chunks that a decoder gets, in their order, with eXIf after IHDR."""
    ancillary: dict[bytes, Chunk] = {}
    selected, has_idat = list[Chunk](), False
    for chunk in chunks:
        has_idat = has_idat or chunk.type == b"IDAT"
        if not chunk.type[0] & _ANCILLARY or chunk.type in _FRAME_CHUNKS:
            selected.append(chunk)
        elif chunk.type in _VALID_LENGTHS and chunk.type not in ancillary:
            is_in_place = not has_idat or chunk.type == b"eXIf"
            if is_in_place and _is_valid(data, chunk):
                ancillary[chunk.type] = chunk
                if chunk.type != b"eXIf":
                    selected.append(chunk)
    palette = next((chunk.start for chunk in chunks if chunk.type == b"PLTE"), len(data))
    ignored = _find_ignored(data, ancillary, palette)
    if b"acTL" not in ancillary or all(chunk.type != b"fcTL" for chunk in chunks):
        ignored |= _FRAME_CHUNKS | {b"acTL"}  # no animation, or one without frames
    exif = [ancillary[b"eXIf"]] if b"eXIf" in ancillary else []
    return [selected[0], *exif, *(chunk for chunk in selected[1:] if chunk.type not in ignored)]


def _find_ignored(data: bytes, ancillary: dict[bytes, Chunk], palette: int) -> set[bytes]:
    """Return the types of colour chunks that have no effect because of others (4.3 and 11.3.2)."""
    code_points = ancillary.get(b"cICP")
    if code_points is None:
        return set()
    primaries, transfer, matrix, is_full_range = code_points.payload(data)
    is_supported = (matrix, is_full_range) == (0, 1) and from_cicp(primaries, transfer)
    return {b"iCCP"} if is_supported and code_points.start < palette else {b"cICP"}


def _is_valid(data: bytes, chunk: Chunk) -> bool:
    """Return whether an ancillary chunk can be used."""
    body, lengths = chunk.payload(data), _VALID_LENGTHS[chunk.type]
    covered = memoryview(data)[chunk.start + 4 : chunk.end - _CRC_BYTES]
    if zlib.crc32(covered) != int.from_bytes(data[chunk.end - _CRC_BYTES : chunk.end], "big"):
        return False
    if chunk.type == b"iCCP":
        return _is_valid_profile(body)
    if chunk.type == b"tRNS":
        colour_type = data[25]
        return 0 < len(body) <= 256 if colour_type == _PALETTE else len(body) == _TRNS_BYTES.get(colour_type)
    if chunk.type == b"acTL" and body[:1] >= _SIGN:
        return False
    return not lengths or len(body) in lengths


def _is_valid_profile(body: bytes) -> bool:
    """Return whether a profile decompresses to MAX_PROFILE_BYTES at most. Take no more memory than that."""
    name, separator, compressed = body.partition(b"\0")
    if not (name and separator and compressed[:1] == b"\0"):
        return False
    decompressor = zlib.decompressobj()
    try:
        decompressor.decompress(compressed[1:], MAX_PROFILE_BYTES)
    except zlib.error:
        return False
    return decompressor.eof


# --- animations ------------------------------------------------------------------------------------------------


def _has_separate_default_image(chunks: list[Chunk]) -> bool:
    """Return whether IDAT has a default image that is not a frame of the animation (4.9)."""
    kinds = [chunk.type for chunk in chunks]
    if b"acTL" not in kinds or b"IDAT" not in kinds or b"fdAT" not in kinds:
        return False
    return b"fcTL" not in kinds[: kinds.index(b"IDAT")]


def _begin_with_frame(data: bytes, chunks: list[Chunk]) -> Iterator[bytes]:
    """Yield the file without its default image. The first frame takes its place; the others are renumbered."""
    sequence_number, control_chunks = 0, 0
    for chunk in chunks:
        body = chunk.payload(data)
        if chunk.type == b"IDAT":
            continue
        control_chunks += chunk.type == b"fcTL"
        if chunk.type == b"fdAT" and control_chunks == 1:
            yield _write(b"IDAT", body[4:])
        elif chunk.type in _FRAME_CHUNKS:
            yield _write(chunk.type, struct.pack(">I", sequence_number) + body[4:])
            sequence_number += 1
        else:
            yield data[chunk.start : chunk.end]


def _write(chunk_type: bytes, body: bytes) -> bytes:
    typed = chunk_type + body
    return struct.pack(">I", len(body)) + typed + struct.pack(">I", zlib.crc32(typed))
