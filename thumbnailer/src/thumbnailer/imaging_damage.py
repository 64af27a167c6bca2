"""Finding JPEGs whose data end before the picture does.

A decoder that runs out of data, or into a stray marker, paints what is left mid-grey and only warns of it, which
Pillow keeps to itself. So a picture that ends in that grey is put to the test: behind the data of its first scan
we add some of our own. A decoder that had all it needed skips them; one that was still hungry paints with them.
A sound picture can therefore never be refused, however grey it is. Unnoticed stay progressive files, which are
not grey where data are missing, and files that lack data without lacking an end of each restart interval.
"""

import re

from PIL import Image

_START_OF_SCAN = b"\xff\xda"
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # what ends a scan's data: no stuffed zero, restart or fill byte
_GREY = range(126, 131)  # 128, and what rounding on the way to CMYK makes of it
_MORE = bytes(n * 167 % 251 for n in range(4096))  # some data of any kind, without 0xFF


def ends_in_grey(image: Image.Image) -> bool:
    """Tell whether the last pixel to be decoded is what a decoder without data paints."""
    pixel = image.getpixel((image.width - 1, image.height - 1))
    return all(level in _GREY for level in (pixel if isinstance(pixel, tuple) else (pixel,)))


def add_data(data: bytes) -> bytes:
    """Put bytes of our own behind the first scan's; where there is no scan, give the file as it is."""
    at = 2
    while data[at : at + 1] == b"\xff":
        if data[at : at + 2] == _START_OF_SCAN:
            end = _MARKER.search(data, at + 2 + int.from_bytes(data[at + 2 : at + 4]))
            return data[: end.start()] + _MORE + data[end.start() :] if end else data
        fill = data[at + 1 : at + 2] == b"\xff"
        at += 1 if fill else 2 + int.from_bytes(data[at + 2 : at + 4])
    return data
