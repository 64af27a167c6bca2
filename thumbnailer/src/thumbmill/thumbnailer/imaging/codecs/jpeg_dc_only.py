"""Decoding a JPEG at an eighth of its edges, by our own decoder: dc_only.c says how and why.

Here a file's headers are read, as ITU-T T.81 lays them out in annex B, and it is decided what is decoded there:
such files as photos usually are. All else is left to libjpeg.
"""

import array
import ctypes
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from thumbmill.thumbnailer.imaging.codecs.jpeg_segments import COEFFICIENTS, END_OF_SCAN, EOI, METADATA, SOI, SOS

_FRAMES, _PROGRESSIVE = {0xC0, 0xC1, 0xC2}, 0xC2
_CODES, _QUANTUMS, _RESTART, _JFIF, _ADOBE = 0xC4, 0xDB, 0xDD, 0xE0, 0xEE
_SAMPLE_BITS = 8
_COUNTS = 16  # bytes in front of a table's symbols: how many codes there are of each length
_TABLE = _COUNTS + 256
_MOST_DC = 15  # for a symbol: the bits of a value
_AC = 0x10  # the class of a table, beside its number
_LAST_TABLE = 3  # of each kind
_MOST_BLOCKS = 10  # in an MCU of several components; T.81, B.2.3
_JFIF_BYTES = 14  # a shorter segment is none to libjpeg
_GREY, _COLOUR = 1, 3  # components
_Y_CB_CR = [1, 2, 3]  # their names, where nothing else says what they are
_UNKNOWN = -1


class _OddError(Exception):
    """The file is not one that is decoded here."""


class _Scan(ctypes.Structure):
    _fields_ = (
        ("count", ctypes.c_int32),
        ("component", ctypes.c_int32 * _COLOUR),
        ("dc", ctypes.c_char_p * _COLOUR),
        ("ac", ctypes.c_char_p * _COLOUR),
        ("first", ctypes.c_int32),
        ("last", ctypes.c_int32),
        ("high", ctypes.c_int32),
        ("low", ctypes.c_int32),
        ("restart", ctypes.c_int32),
    )


class Extent(ctypes.Structure):
    """How far a scan could be read, as dc_only.c has it.

    MCUs that it should have, those before the first fault, bytes behind the last, and 1 if the data have fewer or
    more blocks than they should, which comes of damage somewhere before.
    """

    _fields_ = (
        ("mcus", ctypes.c_int32),
        ("decoded", ctypes.c_int32),
        ("surplus", ctypes.c_int32),
        ("shifted", ctypes.c_int32),
    )


@dataclass
class _Component:
    across: int  # blocks in an MCU
    down: int
    quantum: int  # the number of its table
    edge: int = 1  # pixels that come of a block, each way
    bits: list[int] = field(default_factory=lambda: [_UNKNOWN] * COEFFICIENTS)  # of each, left to later scans


@dataclass
class _File:
    """What the headers have said so far."""

    data: bytes
    at: int = 2
    progressive: bool = False
    size: tuple[int, int] = (0, 0)  # pixels
    components: dict[int, _Component] = field(default_factory=dict)
    quantums: dict[int, bytes] = field(default_factory=dict)
    codes: dict[int, bytes] = field(default_factory=dict)
    restart: int = 0
    is_jfif: bool = False
    adobe_transform: int | None = None


def decode(data: bytes, pixels: bytearray) -> bool:
    """Decode a JPEG at an eighth of its edges, rounded up, into pixels of 4 bytes (RGBX), or of one if it is grey.

    False, with the pixels undefined, for what is not decoded here: whatever is damaged or lacks scans, has colours
    other than Y, Cb, Cr, or uncommon sampling, or more pixels than there is room for, or fewer.
    """
    library, file, picture = _library(), _File(data), None
    try:
        for header in _read_headers(file):
            picture = picture or _begin(library, file, len(pixels))
            _take_scan(library, picture, file, header)
        if picture is None or any(any(component.bits) for component in file.components.values()):
            return False
        return bool(library.write_picture(picture, (ctypes.c_char * len(pixels)).from_buffer(pixels)))
    except (_OddError, LookupError):
        return False
    finally:
        library.end_picture(picture)


def measure_scan(data: bytes) -> Extent | None:
    """Say how far a baseline JPEG can be read that libjpeg complains of; None for what is not read here."""
    library, file, picture, extent = _library(), _File(data), None, Extent()
    try:
        header = next(_read_headers(file))
        scan, _ = _read_scan_header(file, header)
        if file.progressive or scan.count != len(file.components):
            return None
        width, height = (-(-edge // 8) for edge in file.size)
        picture = _begin(library, file, width * height * (1 if scan.count == _GREY else 4))
        library.read_scan(picture, data, file.at, len(data), scan, ctypes.byref(extent))
    except (_OddError, LookupError, StopIteration):
        return None
    else:
        return extent
    finally:
        library.end_picture(picture)


# --- headers ---------------------------------------------------------------------------------------------------


def _read_headers(file: _File) -> Iterator[bytes]:
    """Read up to the end of the picture, and give each scan's header; its taker goes on behind the data."""
    data = file.data
    if data[:2] != bytes((0xFF, SOI)):
        raise _OddError
    while data[file.at] == 0xFF:
        marker, start = data[file.at + 1], file.at + 4
        if marker == EOI:
            return
        file.at += 2 + int.from_bytes(data[start - 2 : start])
        body = data[start : file.at]
        if marker == SOS:
            yield body
        elif marker not in METADATA:
            _understand(file, marker, body)
    raise _OddError


def _understand(file: _File, marker: int, body: bytes) -> None:
    begun = any(component.bits[0] != _UNKNOWN for component in file.components.values())
    if marker in _FRAMES and not file.components:
        file.progressive = marker == _PROGRESSIVE
        _read_frame(file, body)
    elif marker == _CODES:
        _read_codes(file, body)
    elif marker == _QUANTUMS and not begun:
        _read_quantums(file, body)
    elif marker == _RESTART and len(body) == 2:
        file.restart = int.from_bytes(body)
    elif marker == _JFIF:
        is_jfif = body.startswith(b"JFIF\0") and len(body) >= _JFIF_BYTES
        if is_jfif and body[5] != 1:  # another revision, of which libjpeg complains
            raise _OddError
        file.is_jfif |= is_jfif
    elif marker == _ADOBE and body.startswith(b"Adobe"):
        file.adobe_transform = body[11]
    elif marker != _ADOBE:
        raise _OddError


def _read_frame(file: _File, body: bytes) -> None:
    """Read what the picture is made of. T.81, B.2.2."""
    file.size = int.from_bytes(body[3:5]), int.from_bytes(body[1:3])
    for at in range(6, 6 + 3 * body[5], 3):
        file.components[body[at]] = _Component(body[at + 1] >> 4, body[at + 1] & 15, body[at + 2])
    components = list(file.components.values())
    if len(body) != 6 + 3 * len(components) or len(components) != body[5]:
        raise _OddError
    if body[0] != _SAMPLE_BITS or 0 in file.size:
        raise _OddError
    if len(components) == _GREY:
        components[0].across = components[0].down = 1  # with nothing beside it, its sampling means nothing
    elif len(components) == _COLOUR:
        light, blue, red = ((component.across, component.down) for component in components)
        if not set(light) <= {1, 2} or blue != red or blue not in {(1, 1), light}:
            raise _OddError
        if light == (2, 2) and blue == (1, 1):  # as libjpeg does: a quarter of them comes to as many pixels
            components[1].edge = components[2].edge = 2
    else:
        raise _OddError


def _read_quantums(file: _File, body: bytes) -> None:
    """Read what the coefficients are to be multiplied by. T.81, B.2.4.1."""
    for at in range(0, len(body), 1 + COEFFICIENTS):
        values = body[at + 1 : at + 1 + COEFFICIENTS]
        if body[at] > _LAST_TABLE or len(values) != COEFFICIENTS:  # above: values of two bytes each, or nonsense
            raise _OddError
        file.quantums[body[at]] = array.array("H", list(values)).tobytes()


def _read_codes(file: _File, body: bytes) -> None:
    """Read tables of codes. T.81, B.2.4.2."""
    at = 0
    while at < len(body):
        table = at + 1
        end = table + _COUNTS + sum(body[table : table + _COUNTS])
        most = 255 if body[at] & _AC else _MOST_DC
        if end > len(body) or end - table > _TABLE or max(body[table + _COUNTS : end], default=0) > most:
            raise _OddError
        if body[at] & ~_AC > _LAST_TABLE:
            raise _OddError
        file.codes[body[at]] = body[table:end].ljust(_TABLE, b"\0")
        at = end


def _are_colours_usual(file: _File) -> bool:
    """Tell whether three components are Y, Cb and Cr, by the rules that libjpeg has for it."""
    if file.is_jfif or file.adobe_transform is not None:
        return file.is_jfif or file.adobe_transform == 1
    return list(file.components) == _Y_CB_CR


# --- scans -----------------------------------------------------------------------------------------------------


def _begin(library: ctypes.CDLL, file: _File, room: int) -> int | None:
    components = list(file.components.values())
    width, height = (-(-edge // 8) for edge in file.size)
    if len(components) == _COLOUR and not _are_colours_usual(file):
        raise _OddError
    if not components or room != width * height * (4 if len(components) == _COLOUR else 1):
        raise _OddError
    numbers = ctypes.c_int32 * len(components)
    picture: int | None = library.begin_picture(
        width,
        height,
        file.progressive,
        len(components),
        numbers(*(component.across for component in components)),
        numbers(*(component.down for component in components)),
        numbers(*(component.edge for component in components)),
        b"".join(file.quantums[component.quantum] for component in components),
    )
    if picture is None:
        raise _OddError
    return picture


def _take_scan(library: ctypes.CDLL, picture: int | None, file: _File, header: bytes) -> None:
    """Read a scan of which something shows, and pass over any other."""
    scan, components = _read_scan_header(file, header)
    for component in components:
        _note_bits(component, scan, progressive=file.progressive)
    if scan.first > 0 and components[0].edge == 1:  # such a scan has one component
        found = END_OF_SCAN.search(file.data, file.at)
        if found is None:
            raise _OddError
        file.at = found.start()
        return
    file.at = library.read_scan(picture, file.data, file.at, len(file.data), scan, None)
    if file.at == 0:
        raise _OddError


def _read_scan_header(file: _File, header: bytes) -> tuple[_Scan, list[_Component]]:
    """Read which components a scan has, which of their coefficients, and by which tables. T.81, B.2.3."""
    end = 1 + 2 * header[0]
    first, last, high, low = header[end], header[end + 1], header[end + 2] >> 4, header[end + 2] & 15
    if not file.progressive:  # where a scan has everything, whatever it says: many phones write zeros
        first, last, high, low = 0, COEFFICIENTS - 1, 0, 0
    names, tables = header[1:end:2], header[2:end:2]
    if len(header) != end + 3 or not names or len(set(names)) != len(names):
        raise _OddError
    components = [file.components[name] for name in names]
    if len(names) > 1 and sum(component.across * component.down for component in components) > _MOST_BLOCKS:
        raise _OddError
    order = list(file.components)
    scan = _Scan(len(names), first=first, last=last, high=high, low=low, restart=file.restart)
    for number, (name, table) in enumerate(zip(names, tables, strict=True)):
        scan.component[number] = order.index(name)
        if first == 0 and high == 0:
            scan.dc[number] = file.codes[table >> 4]
        if last > 0:
            scan.ac[number] = file.codes[_AC | table & 15]
    return scan, components


def _note_bits(component: _Component, scan: _Scan, *, progressive: bool) -> None:
    """Note which bits of a component a scan brings, if these are the ones to come. T.81, G.1.1.1."""
    first, last, high, low = scan.first, scan.last, scan.high, scan.low
    if progressive:
        sound = (first == last == 0) or (0 < first <= last and component.bits[0] != _UNKNOWN and scan.count == 1)
    else:
        sound = (first, last, high, low) == (0, COEFFICIENTS - 1, 0, 0)
    if not sound or last >= COEFFICIENTS or (high and high != low + 1):
        raise _OddError
    if any(bits != (high or _UNKNOWN) for bits in component.bits[first : last + 1]):
        raise _OddError
    component.bits[first : last + 1] = [low] * (last + 1 - first)


@cache
def _library() -> ctypes.CDLL:
    """Load what hatch_build.py has built of dc_only.c."""
    library = ctypes.CDLL(str(Path(__file__).with_name("dc_only.so")))
    integer, pointer, integers = ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int32)
    library.begin_picture.restype, library.begin_picture.argtypes = (
        pointer,
        (integer, integer, integer, integer, integers, integers, integers, ctypes.c_char_p),
    )
    library.read_scan.restype, library.read_scan.argtypes = (
        ctypes.c_size_t,
        (
            pointer,
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_size_t,
            ctypes.POINTER(_Scan),
            ctypes.POINTER(Extent),
        ),
    )
    library.write_picture.restype, library.write_picture.argtypes = integer, (pointer, pointer)
    library.end_picture.restype, library.end_picture.argtypes = None, (pointer,)
    return library
