"""Detection of camera RAW files, most of which are TIFFs.

They are rejected with the name of their format. docs/decisions/013 explains why their previews are not used.
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
# By the beginning of the Make tag (271), in lower case.
_NAMES_BY_MAKE = {
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
_DNG_VERSION, _CR2_SLICES, _MAKE, _COMPRESSION = 50706, 50752, 271, 259
_RAW_PHOTOMETRICS = {32803, 34892}  # colour filter array, linear raw (DNG 1.7)
# Compressions that only cameras write: Sony's, Epson's, Samsung's two, Kodak's, Nikon's, lossy JPEG of DNG,
# Kodak's, Pentax's.
_RAW_COMPRESSIONS = {32767, 32769, 32770, 32772, 32867, 34713, 34892, 65000, 65535}


def name_by_signature(data: bytes) -> str | None:
    """Return the usual file extension of a RAW file, such as ``CR3``, by its first bytes; None for other files."""
    return next((name for name, pattern in _SIGNATURES.items() if re.match(pattern, data, re.DOTALL)), None)


def name_by_ifds(ifds: Iterable[Ifd]) -> str | None:
    """Return the usual file extension of a RAW file, whose IFDs hold sensor data; None for other TIFFs."""
    ifds = list(ifds)
    if any(_DNG_VERSION in ifd for ifd in ifds):
        return "DNG"
    if not any(_is_raw(ifd) for ifd in ifds):
        return None
    return next((name for ifd in ifds if (name := _name_by_make(ifd))), "RAW")


def explain(name: str) -> str:
    """Return why a RAW file is rejected, as the detail of an error."""
    kind = "camera RAW file" if name == "RAW" else f"camera RAW file ({name})"
    return f"a {kind} is not supported, convert it or upload the JPEG that the camera wrote with it"


def _is_raw(ifd: Ifd) -> bool:
    return (
        ifd.number(PHOTOMETRIC, 0) in _RAW_PHOTOMETRICS
        or ifd.number(_COMPRESSION, 1) in _RAW_COMPRESSIONS
        or _CR2_SLICES in ifd
    )


def _name_by_make(ifd: Ifd) -> str | None:
    value = ifd.value(_MAKE)
    make = value.data.decode("latin-1").strip().lower() if value else ""
    return next((name for prefix, name in _NAMES_BY_MAKE.items() if make.startswith(prefix)), None)
