"""The segments of a JPEG file (ITU-T T.81, annex B), and what a truncated file is missing.

The rules for what is skipped are libjpeg's.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

SOI, EOI, SOS = 0xD8, 0xD9, 0xDA
SOF0, SOF1, SOF2 = 0xC0, 0xC1, 0xC2  # Huffman coding: baseline, extended sequential, progressive
_SOF9, _SOF10 = 0xC9, 0xCA  # arithmetic coding: extended sequential, progressive
DHT, _DAC, DQT, _DNL, DRI = 0xC4, 0xCC, 0xDB, 0xDC, 0xDD
APP0, APP14 = 0xE0, 0xEE  # JFIF and Adobe: they determine the colour space of the components
METADATA = {*range(0xE1, 0xEE), 0xEF, 0xFE}  # other APPn, and COM
STANDALONE = {0x01, *range(0xD0, 0xD8)}  # TEM and RSTm: markers without a segment
ENTROPY_CODED = 0x00  # our own number for the data after a scan header, which have no marker
MARKER = re.compile(rb"\xff([^\x00\xff])", re.DOTALL)  # junk before it is skipped, as in libjpeg
END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # no stuffed zero, no restart marker, no fill byte
COEFFICIENTS = 64  # of a block
_SOF = {SOF0, SOF1, SOF2, _SOF9, _SOF10}  # those that libjpeg decodes
_PROGRESSIVE = {SOF2, _SOF10}
_KNOWN = {*_SOF, DHT, _DAC, DQT, _DNL, DRI, APP0, APP14, *METADATA, SOS}
_MAX_SEGMENTS = 20_000  # no upload of 50 MB has a reason for more
_MIN_SCAN_HEADER = 6  # bytes after the length, for one component


@dataclass(frozen=True)
class Segment:
    """A marker segment, or the entropy-coded data of a scan."""

    marker: int
    start: int  # of the marker
    end: int


def read_segments(data: bytes) -> Iterator[Segment]:
    """Yield the segments up to the end of the image or of the data, or to what libjpeg does not decode."""
    at, has_frame = 2, False
    for _ in range(_MAX_SEGMENTS):
        found = MARKER.search(data, at)
        if found is None:
            return
        marker, at = found[1][0], found.end()
        if marker in STANDALONE:
            continue
        is_second_frame = has_frame and marker in _SOF
        if is_second_frame or marker not in _KNOWN:
            return
        has_frame |= marker in _SOF
        start, at = at - 2, at + int.from_bytes(data[at : at + 2])
        yield Segment(marker, start, min(at, len(data)))
        if marker == SOS:
            end = END_OF_SCAN.search(data, at)
            start, at = at, end.start() if end else len(data)
            yield Segment(ENTROPY_CODED, start, at)


def count_scans(data: bytes) -> int:
    """Count the scans that libjpeg would decode."""
    return sum(segment.marker == SOS for segment in read_segments(data))


def strip_metadata(data: bytes) -> bytes:
    """Remove metadata and junk, correct the headers of sequential scans, and end after the last scan.

    A sequential scan has all coefficients, and decoders ignore what its header states. Samsung's phones
    write zeros where T.81 (B.2.3) requires 0, 63, 0.
    """
    kept, is_sequential = [bytes((0xFF, SOI))], False
    for segment in read_segments(data):
        if segment.marker in _SOF:
            is_sequential = segment.marker not in _PROGRESSIVE
        if segment.marker == SOS and is_sequential and segment.end - segment.start > _MIN_SCAN_HEADER:
            kept += data[segment.start : segment.end - 3], bytes((0, COEFFICIENTS - 1, 0))
        elif segment.marker not in METADATA:
            kept.append(data[segment.start : segment.end])
    return b"".join((*kept, bytes((0xFF, EOI))))


def is_truncated(data: bytes) -> bool:
    """Return whether a file ends within the data of a scan."""
    last = list(read_segments(data))[-1:]
    return any(segment.marker == ENTROPY_CODED and segment.end == len(data) for segment in last)


def ends_with_refinement(data: bytes) -> bool:
    """Return whether the last scan is a refinement scan, which adds one bit to known coefficients."""
    headers = [data[segment.start : segment.end] for segment in read_segments(data) if segment.marker == SOS]
    return bool(headers) and headers[-1][-1] >> 4 > 0


def ends_with_zeros(data: bytes, count: int) -> bool:
    """Return whether the last bytes of the last scan are zeros."""
    ends = [segment.end for segment in read_segments(data) if segment.marker == ENTROPY_CODED]
    return bool(ends) and not any(data[ends[-1] - count : ends[-1]])


def is_missing_scans(data: bytes) -> bool:
    """Return whether the scans omit a coefficient, or any of its bits.

    For a file of one scan, as most are, its header is enough; no entropy-coded data are searched.
    """
    missing_bits: dict[int, list[int]] = {}  # by component: for each coefficient, 0 once its last bit has come
    for segment in read_segments(data):
        if segment.marker in _SOF:
            body = data[segment.start + 4 : segment.end]
            missing_bits = {body[at]: [1] * COEFFICIENTS for at in range(6, len(body) - 2, 3)}
            is_progressive = segment.marker in _PROGRESSIVE
        if segment.marker != SOS or not missing_bits:
            continue
        body = data[segment.start + 4 : segment.end]
        if len(body) < _MIN_SCAN_HEADER:
            continue  # libjpeg does not decode it either
        ss, se, al = (body[-3], body[-2], body[-1] & 15) if is_progressive else (0, COEFFICIENTS - 1, 0)
        for component in body[1:-3:2]:
            if component in missing_bits:
                missing_bits[component][ss : se + 1] = [al] * (se + 1 - ss)
        if not any(map(any, missing_bits.values())):
            return False
    return True
