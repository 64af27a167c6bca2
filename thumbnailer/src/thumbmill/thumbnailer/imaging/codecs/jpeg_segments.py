"""What a JPEG file is made of, as ITU-T T.81 lays it out in annex B, and what of it is missing."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

SOI, EOI, SOS = 0xD8, 0xD9, 0xDA
DATA = 0x00  # what stands behind a scan's header has no marker of its own, so this one is ours
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}  # those that libjpeg decodes
_PROGRESSIVE = {0xC2, 0xCA}
_TABLES = {0xC4, 0xCC, 0xDB, 0xDC, 0xDD}
_COLOURS = {0xE0, 0xEE}  # JFIF's and Adobe's segment: they decide how the components are understood
METADATA = {*range(0xE1, 0xEE), 0xEF, 0xFE}  # and comments
STANDALONE = {0x01, *range(0xD0, 0xD8)}  # no segment follows these
MARKER = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)  # junk in front of it is skipped, as libjpeg does
END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # no stuffed zero, no restart, no fill byte
COEFFICIENTS = 64  # of a block
_MOST_SEGMENTS = 20_000  # in an upload of 50 MB there is no sense in more
_SHORTEST_SCAN = 6  # bytes of a scan's header for one component, behind its length


@dataclass(frozen=True)
class Segment:
    """A stretch of a file."""

    marker: int
    start: int  # of the marker
    end: int


def read_segments(data: bytes) -> Iterator[Segment]:
    """Give the segments up to the end of the picture, of the data, or of what a decoder would understand."""
    at, framed = 2, False
    for _ in range(_MOST_SEGMENTS):
        found = MARKER.search(data, at)
        if found is None:
            return
        marker, at = found[1][0], found.end()
        if marker in STANDALONE:
            continue
        twice = framed and marker in _FRAMES
        if twice or marker not in _FRAMES | _TABLES | _COLOURS | METADATA | {SOS}:
            return
        framed |= marker in _FRAMES
        start, at = at - 2, at + int.from_bytes(data[at : at + 2])
        yield Segment(marker, start, min(at, len(data)))
        if marker == SOS:
            end = END_OF_SCAN.search(data, at)
            start, at = at, end.start() if end else len(data)
            yield Segment(DATA, start, at)


def count_scans(data: bytes) -> int:
    """Count the scans that a decoder would find."""
    return sum(part.marker == SOS for part in read_segments(data))


def strip_metadata(data: bytes) -> bytes:
    """Leave out metadata and junk, right what means nothing, and end where a decoder's understanding ends.

    What a scan of a picture that is not progressive says of its coefficients means nothing: it has all of them.
    Samsung's phones write zeros there, where T.81 (B.2.3) wants 0, 63, 0, and decoders do not look.
    """
    kept, sequential = [bytes((0xFF, SOI))], False
    for part in read_segments(data):
        if part.marker in _FRAMES:
            sequential = part.marker not in _PROGRESSIVE
        if part.marker == SOS and sequential and part.end - part.start > _SHORTEST_SCAN:
            kept += data[part.start : part.end - 3], bytes((0, COEFFICIENTS - 1, 0))
        elif part.marker not in METADATA:
            kept.append(data[part.start : part.end])
    return b"".join((*kept, bytes((0xFF, EOI))))


def is_truncated(data: bytes) -> bool:
    """Tell whether a file ends in the midst of a scan's data."""
    last = list(read_segments(data))[-1:]
    return any(part.marker == DATA and part.end == len(data) for part in last)


def ends_with_refinement(data: bytes) -> bool:
    """Tell whether the last scan brings nothing but a bit for coefficients that are known already."""
    headers = [data[part.start : part.end] for part in read_segments(data) if part.marker == SOS]
    return bool(headers) and headers[-1][-1] >> 4 > 0


def ends_with_zeros(data: bytes, count: int) -> bool:
    """Tell whether the last bytes of the last scan's data are zeros."""
    ends = [part.end for part in read_segments(data) if part.marker == DATA]
    return bool(ends) and not any(data[ends[-1] - count : ends[-1]])


def is_missing_scans(data: bytes) -> bool:
    """Tell whether the scans leave a coefficient out, or any of its bits.

    A file in one scan, as most are, is known by that scan's header; no data are looked at.
    """
    open_bits: dict[int, list[int]] = {}  # by component, for each coefficient: 0 when its last bit has come
    for part in read_segments(data):
        if part.marker in _FRAMES:
            body = data[part.start + 4 : part.end]
            open_bits = {body[at]: [1] * COEFFICIENTS for at in range(6, len(body) - 2, 3)}
            progressive = part.marker in _PROGRESSIVE
        if part.marker != SOS or not open_bits:
            continue
        body = data[part.start + 4 : part.end]
        if len(body) < _SHORTEST_SCAN:
            continue  # a decoder makes nothing of it either
        first, last, bits = (body[-3], body[-2], body[-1] & 15) if progressive else (0, COEFFICIENTS - 1, 0)
        for component in body[1:-3:2]:
            if component in open_bits:
                open_bits[component][first : last + 1] = [bits] * (last + 1 - first)
        if not any(map(any, open_bits.values())):
            return False
    return True
