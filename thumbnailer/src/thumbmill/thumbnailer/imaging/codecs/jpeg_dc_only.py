"""A decoder for JPEGs at an eighth of their size, by DC coefficients alone: dc_only.c describes how and why.

The headers are read here, and decide what is decoded. Everything unusual is left to libjpeg.
"""

import ctypes
from functools import cache
from pathlib import Path

from thumbmill.thumbnailer.imaging.codecs.jpeg_headers import (
    COLOUR,
    GREY,
    JpegFile,
    ScanHeader,
    UnsupportedJpegError,
    note_progress,
    read_scans,
)
from thumbmill.thumbnailer.imaging.codecs.jpeg_segments import END_OF_SCAN

_LIBRARY = Path(__file__).with_name("dc_only.so")


class _Scan(ctypes.Structure):
    _fields_ = (
        ("component_count", ctypes.c_int32),
        ("component_index", ctypes.c_int32 * COLOUR),
        ("dc_tables", ctypes.c_char_p * COLOUR),
        ("ac_tables", ctypes.c_char_p * COLOUR),
        ("Ss", ctypes.c_int32),
        ("Se", ctypes.c_int32),
        ("Ah", ctypes.c_int32),
        ("Al", ctypes.c_int32),
        ("restart_interval", ctypes.c_int32),
    )


class ScanExtent(ctypes.Structure):
    """How much of a scan can be decoded, as in dc_only.c.

    The MCUs that it should have, those before the first error, and the bytes after the last one. ``shifted`` is 1
    if the data have fewer or more blocks than they should, because of damage somewhere before.
    """

    _fields_ = (
        ("mcus", ctypes.c_int32),
        ("decoded", ctypes.c_int32),
        ("trailing", ctypes.c_int32),
        ("shifted", ctypes.c_int32),
    )


def decode(data: bytes, pixels: bytearray) -> bool:
    """Decode a JPEG at an eighth of its size, rounded up, into pixels of 4 bytes (RGBX), or of one if it is grey.

    Return False, with the pixels undefined, for what is not decoded here: a file that is damaged or is missing
    scans, colour spaces other than YCbCr, unusual sampling factors, or another size than ``pixels`` has room for.
    """
    library, file, frame = load_library(), JpegFile(data), None
    try:
        for scan in read_scans(file):
            frame = frame or _create_frame(library, file, len(pixels))
            _decode_scan(library, frame, file, scan)
        if frame is None or any(any(component.bit_positions) for component in file.components.values()):
            return False
        return bool(library.write_image(frame, (ctypes.c_char * len(pixels)).from_buffer(pixels)))
    except (UnsupportedJpegError, LookupError):
        return False
    finally:
        library.free_frame(frame)


def measure_scan(data: bytes) -> ScanExtent | None:
    """Measure how much can be decoded of a baseline JPEG that libjpeg warns about.

    Return None for files that are not decoded here.
    """
    library, file, frame, extent = load_library(), JpegFile(data), None, ScanExtent()
    try:
        scan = next(read_scans(file))
        if file.is_progressive or len(scan.components) != len(file.components):
            return None
        width, height = (-(-edge // 8) for edge in file.size)
        frame = _create_frame(library, file, width * height * (1 if len(file.components) == GREY else 4))
        library.decode_scan(frame, data, file.offset, len(data), _pack(file, scan), ctypes.byref(extent))
    except (UnsupportedJpegError, LookupError, StopIteration):
        return None
    else:
        return extent
    finally:
        library.free_frame(frame)


def _create_frame(library: ctypes.CDLL, file: JpegFile, room: int) -> int | None:
    components = list(file.components.values())
    width, height = (-(-edge // 8) for edge in file.size)
    if len(components) == COLOUR and not file.is_y_cb_cr:
        raise UnsupportedJpegError
    if not components or room != width * height * (4 if len(components) == COLOUR else 1):
        raise UnsupportedJpegError
    numbers = ctypes.c_int32 * len(components)
    frame: int | None = library.create_frame(
        width,
        height,
        file.is_progressive,
        len(components),
        numbers(*(component.h_samp for component in components)),
        numbers(*(component.v_samp for component in components)),
        numbers(*(component.scaled_size for component in components)),
        b"".join(file.quant_tables[component.quant_table] for component in components),
    )
    if frame is None:
        raise UnsupportedJpegError
    return frame


def _decode_scan(library: ctypes.CDLL, frame: int | None, file: JpegFile, scan: ScanHeader) -> None:
    """Decode a scan whose coefficients are used, and skip any other."""
    for component in scan.components:
        note_progress(component, scan, is_progressive=file.is_progressive)
    if scan.ss > 0 and scan.components[0].scaled_size == 1:  # AC coefficients, so there is one component
        found = END_OF_SCAN.search(file.data, file.offset)
        if found is None:
            raise UnsupportedJpegError
        file.offset = found.start()
        return
    file.offset = library.decode_scan(frame, file.data, file.offset, len(file.data), _pack(file, scan), None)
    if file.offset == 0:
        raise UnsupportedJpegError


def _pack(file: JpegFile, scan: ScanHeader) -> _Scan:
    packed = _Scan(len(scan.components), restart_interval=file.restart_interval)
    packed.Ss, packed.Se, packed.Ah, packed.Al = scan.ss, scan.se, scan.ah, scan.al
    for number, index in enumerate(scan.indices):
        packed.component_index[number] = index
        packed.dc_tables[number] = scan.dc_tables[number]
        packed.ac_tables[number] = scan.ac_tables[number]
    return packed


@cache
def load_library(path: Path = _LIBRARY) -> ctypes.CDLL:
    """Load the library that hatch_build.py has compiled from dc_only.c."""
    library = ctypes.CDLL(str(path))
    integer, pointer, integers = ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_int32)
    library.create_frame.restype, library.create_frame.argtypes = (
        pointer,
        (integer, integer, integer, integer, integers, integers, integers, ctypes.c_char_p),
    )
    library.decode_scan.restype, library.decode_scan.argtypes = (
        ctypes.c_size_t,
        (
            pointer,
            ctypes.c_char_p,
            ctypes.c_size_t,
            ctypes.c_size_t,
            ctypes.POINTER(_Scan),
            ctypes.POINTER(ScanExtent),
        ),
    )
    library.write_image.restype, library.write_image.argtypes = integer, (pointer, pointer)
    library.free_frame.restype, library.free_frame.argtypes = None, (pointer,)
    return library
