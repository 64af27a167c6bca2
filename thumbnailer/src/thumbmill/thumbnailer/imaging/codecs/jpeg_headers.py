"""The headers and tables of a JPEG file (ITU-T T.81, annex B), for decoding DC coefficients.

It supports the kinds of JPEG that cameras and most programs write. All others raise UnsupportedJpegError.
"""

import array
from collections.abc import Iterator
from dataclasses import dataclass, field

from thumbmill.thumbnailer.imaging.codecs.jpeg_segments import (
    APP0,
    APP14,
    COEFFICIENTS,
    DHT,
    DQT,
    DRI,
    EOI,
    METADATA,
    SOF0,
    SOF1,
    SOF2,
    SOI,
    SOS,
)

GREY, COLOUR = 1, 3  # components
_SAMPLE_PRECISION = 8
_BITS_BYTES = 16  # of a Huffman table, before its values: how many codes there are of each length
_TABLE_BYTES = _BITS_BYTES + 256
_AC_CLASS = 0x10  # Tc of a Huffman table, next to its destination Th
_MAX_DC_VALUE = 15
_MAX_DESTINATION = 3  # of the tables of each kind
_MAX_MCU_BLOCKS = 10  # of an interleaved scan (B.2.3)
_MIN_JFIF_BYTES = 14  # libjpeg ignores shorter segments
_Y_CB_CR = [1, 2, 3]  # component identifiers, where no segment names the colour space
_NOT_DECODED = -1


class UnsupportedJpegError(Exception):
    """The file is not of a kind that is decoded here."""


@dataclass
class Component:
    """A component, as its frame header has it (B.2.2)."""

    h_samp: int
    v_samp: int
    quant_table: int  # its destination, Tq
    scaled_size: int = 1  # pixels of a decoded block in each direction
    # By coefficient: the bit position that the last scan has reached (Al).
    bit_positions: list[int] = field(default_factory=lambda: [_NOT_DECODED] * COEFFICIENTS)


@dataclass
class JpegFile:
    """A file, and what its segments up to ``offset`` have defined."""

    data: bytes
    offset: int = 2
    is_progressive: bool = False
    size: tuple[int, int] = (0, 0)  # pixels
    components: dict[int, Component] = field(default_factory=dict)  # by identifier
    quant_tables: dict[int, bytes] = field(default_factory=dict)  # by destination
    huffman_tables: dict[int, bytes] = field(default_factory=dict)  # by class and destination
    restart_interval: int = 0
    has_jfif: bool = False
    adobe_transform: int | None = None

    @property
    def is_y_cb_cr(self) -> bool:
        """Whether three components are Y, Cb and Cr, by libjpeg's rules."""
        if self.has_jfif or self.adobe_transform is not None:
            return self.has_jfif or self.adobe_transform == 1
        return list(self.components) == _Y_CB_CR


@dataclass(frozen=True)
class ScanHeader:
    """A scan header (B.2.3): its components, their Huffman tables if it needs any, and its coefficients."""

    indices: list[int]  # of the components in the frame
    components: list[Component]
    dc_tables: list[bytes | None]
    ac_tables: list[bytes | None]
    ss: int
    se: int
    ah: int
    al: int


def read_scans(file: JpegFile) -> Iterator[ScanHeader]:
    """Yield each scan header up to the end of the image. The caller moves ``offset`` past the scan's data.

    Raise UnsupportedJpegError or LookupError for other files.
    """
    data = file.data
    if data[:2] != bytes((0xFF, SOI)):
        raise UnsupportedJpegError
    while data[file.offset] == 0xFF:
        marker, start = data[file.offset + 1], file.offset + 4
        if marker == EOI:
            return
        file.offset += 2 + int.from_bytes(data[start - 2 : start])
        body = data[start : file.offset]
        if marker == SOS:
            yield _read_scan_header(file, body)
        elif marker not in METADATA:
            _read_segment(file, marker, body)
    raise UnsupportedJpegError


def note_progress(component: Component, scan: ScanHeader, *, is_progressive: bool) -> None:
    """Record which bits of a component a scan has. Raise UnsupportedJpegError unless they come next (G.1.1.1)."""
    ss, se, ah, al = scan.ss, scan.se, scan.ah, scan.al
    if is_progressive:
        has_dc = component.bit_positions[0] != _NOT_DECODED
        is_valid = (ss == se == 0) or (0 < ss <= se and has_dc and len(scan.components) == 1)
    else:
        is_valid = (ss, se, ah, al) == (0, COEFFICIENTS - 1, 0, 0)
    if not is_valid or se >= COEFFICIENTS or (ah and ah != al + 1):
        raise UnsupportedJpegError
    if any(position != (ah or _NOT_DECODED) for position in component.bit_positions[ss : se + 1]):
        raise UnsupportedJpegError
    component.bit_positions[ss : se + 1] = [al] * (se + 1 - ss)


def _read_segment(file: JpegFile, marker: int, body: bytes) -> None:
    has_scan = any(component.bit_positions[0] != _NOT_DECODED for component in file.components.values())
    if marker in {SOF0, SOF1, SOF2} and not file.components:
        file.is_progressive = marker == SOF2
        _read_frame_header(file, body)
    elif marker == DHT:
        _read_huffman_tables(file, body)
    elif marker == DQT and not has_scan:
        _read_quant_tables(file, body)
    elif marker == DRI and len(body) == 2:
        file.restart_interval = int.from_bytes(body)
    elif marker == APP0:
        is_jfif = body.startswith(b"JFIF\0") and len(body) >= _MIN_JFIF_BYTES
        if is_jfif and body[5] != 1:  # another major version, of which libjpeg warns
            raise UnsupportedJpegError
        file.has_jfif |= is_jfif
    elif marker == APP14 and body.startswith(b"Adobe"):
        file.adobe_transform = body[11]
    elif marker != APP14:
        raise UnsupportedJpegError


def _read_frame_header(file: JpegFile, body: bytes) -> None:
    """Read the size and the components (B.2.2)."""
    file.size = int.from_bytes(body[3:5]), int.from_bytes(body[1:3])
    for at in range(6, 6 + 3 * body[5], 3):
        file.components[body[at]] = Component(body[at + 1] >> 4, body[at + 1] & 15, body[at + 2])
    components = list(file.components.values())
    if len(body) != 6 + 3 * len(components) or len(components) != body[5]:
        raise UnsupportedJpegError
    if body[0] != _SAMPLE_PRECISION or 0 in file.size:
        raise UnsupportedJpegError
    if len(components) == GREY:
        components[0].h_samp = components[0].v_samp = 1  # the factors of a single component have no effect
    elif len(components) == COLOUR:
        y, cb, cr = ((component.h_samp, component.v_samp) for component in components)
        if not set(y) <= {1, 2} or cb != cr or cb not in {(1, 1), y}:
            raise UnsupportedJpegError
        if y == (2, 2) and cb == (1, 1):  # libjpeg, too, decodes such blocks at a quarter instead of upsampling
            components[1].scaled_size = components[2].scaled_size = 2
    else:
        raise UnsupportedJpegError


def _read_quant_tables(file: JpegFile, body: bytes) -> None:
    """Read quantization tables (B.2.4.1)."""
    for at in range(0, len(body), 1 + COEFFICIENTS):
        values = body[at + 1 : at + 1 + COEFFICIENTS]
        if body[at] > _MAX_DESTINATION or len(values) != COEFFICIENTS:  # above it: values of two bytes, or invalid
            raise UnsupportedJpegError
        file.quant_tables[body[at]] = array.array("H", list(values)).tobytes()


def _read_huffman_tables(file: JpegFile, body: bytes) -> None:
    """Read Huffman tables (B.2.4.2)."""
    at = 0
    while at < len(body):
        bits = at + 1
        values = bits + _BITS_BYTES
        end = values + sum(body[bits:values])
        max_value = 255 if body[at] & _AC_CLASS else _MAX_DC_VALUE
        if end > len(body) or end - bits > _TABLE_BYTES or max(body[values:end], default=0) > max_value:
            raise UnsupportedJpegError
        if body[at] & ~_AC_CLASS > _MAX_DESTINATION:
            raise UnsupportedJpegError
        file.huffman_tables[body[at]] = body[bits:end].ljust(_TABLE_BYTES, b"\0")
        at = end


def _read_scan_header(file: JpegFile, body: bytes) -> ScanHeader:
    end = 1 + 2 * body[0]
    ss, se, ah, al = body[end], body[end + 1], body[end + 2] >> 4, body[end + 2] & 15
    if not file.is_progressive:  # it has all coefficients regardless of its header, where many phones write zeros
        ss, se, ah, al = 0, COEFFICIENTS - 1, 0, 0
    identifiers, destinations = body[1:end:2], body[2:end:2]
    if len(body) != end + 3 or not identifiers or len(set(identifiers)) != len(identifiers):
        raise UnsupportedJpegError
    components = [file.components[identifier] for identifier in identifiers]
    blocks = sum(component.h_samp * component.v_samp for component in components)
    if len(components) > 1 and blocks > _MAX_MCU_BLOCKS:
        raise UnsupportedJpegError
    order, tables = list(file.components), file.huffman_tables
    return ScanHeader(
        indices=[order.index(identifier) for identifier in identifiers],
        components=components,
        dc_tables=[tables[each >> 4] if ss == 0 and ah == 0 else None for each in destinations],
        ac_tables=[tables[_AC_CLASS | each & 15] if se > 0 else None for each in destinations],
        ss=ss,
        se=se,
        ah=ah,
        al=al,
    )
