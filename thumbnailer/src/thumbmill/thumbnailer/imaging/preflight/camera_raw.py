"""Telling the RAW files of cameras, most of which are TIFFs, from pictures.

They are refused by name: decision 013 says why their previews are not shown instead.
"""

import re
from collections.abc import Iterable

from thumbmill.thumbnailer.imaging.codecs.tiff.ifd import PHOTOMETRIC, Ifd

_SIGNATURES = {
    "CR2": rb"II\*\0\x10\0\0\0CR\x02\0",
    "CR3": rb"....ftypcrx ",
    "CRW": rb"II....HEAPCCDR",
    "RAF": rb"FUJIFILMCCD-RAW",
    "ORF": rb"IIR[OS]|MMOR",
    "RW2": rb"IIU\0",
    "MRW": rb"\0MR[MI]",
    "X3F": rb"FOVb",
    "IIQ": rb"II\*\0....IIII.waR|MM\0\*....MMMMRaw",
}
# By what the maker's name (tag 271) begins with, in small letters.
_MAKERS = {
    "canon": "CR2",
    "epson": "ERF",
    "hasselblad": "3FR",
    "kodak": "DCR",
    "eastman kodak": "DCR",
    "leaf": "MOS",
    "mamiya": "MEF",
    "nikon": "NEF",
    "olympus": "ORF",
    "panasonic": "RW2",
    "pentax": "PEF",
    "phase one": "IIQ",
    "ricoh": "PEF",
    "samsung": "SRW",
    "sony": "ARW",
}
_DNG_VERSION, _CR2_SLICES, _MAKER, _COMPRESSION = 50706, 50752, 271, 259
_SENSOR = {32803, 34892}  # photometric interpretations: colour filter array, linear raw (DNG 1.7)
# Compressions that nothing but cameras writes: Sony's, Epson's, Samsung's two, Kodak's, Nikon's, lossy JPEG of DNG,
# Kodak's, Pentax's.
_CAMERAS_OWN = {32767, 32769, 32770, 32772, 32867, 34713, 34892, 65000, 65535}


def name_by_signature(data: bytes) -> str | None:
    """Return the usual suffix of a RAW file that its first bytes give away, such as ``CR3``."""
    return next((name for name, sign in _SIGNATURES.items() if re.match(sign, data, re.DOTALL)), None)


def name_by_directories(directories: Iterable[Ifd]) -> str | None:
    """Return the usual suffix of a RAW file by a TIFF's directories: they hold what a sensor saw, not a picture."""
    directories = list(directories)
    if any(_DNG_VERSION in directory for directory in directories):
        return "DNG"
    if not any(_is_raw(directory) for directory in directories):
        return None
    return next((name for each in directories if (name := _name_maker(each))), "RAW")


def explain(name: str) -> str:
    """Say in a sentence why a RAW file is refused."""
    kind = "camera RAW file" if name == "RAW" else f"camera RAW file ({name})"
    return f"a {kind} is not supported: develop it, or send the JPEG that the camera wrote beside it"


def _is_raw(directory: Ifd) -> bool:
    return (
        directory.number(PHOTOMETRIC, 0) in _SENSOR
        or directory.number(_COMPRESSION, 1) in _CAMERAS_OWN
        or _CR2_SLICES in directory
    )


def _name_maker(directory: Ifd) -> str | None:
    value = directory.value(_MAKER)
    maker = value.data.decode("latin-1").strip().lower() if value else ""
    return next((suffix for begin, suffix in _MAKERS.items() if maker.startswith(begin)), None)
