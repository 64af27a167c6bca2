"""The headers of a BMP, of every Windows version and of OS/2. Where they are invalid, Chromium's rules apply.

The structures are Microsoft's BITMAPFILEHEADER, BITMAPCOREHEADER, BITMAPINFOHEADER and BITMAPV5HEADER.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.model import UndecodableImageError

MAX_HEADER_BYTES = 14 + 124 + 4 * 256  # the longest headers and colour table
_FILE_HEADER = 14  # bytes of the BITMAPFILEHEADER
# Bytes of the DIB headers: BITMAPCOREHEADER, BITMAPINFOHEADER, OS/2's second, those with three or four bit masks.
_CORE, _INFO, _OS2, _WITH_MASKS, _WITH_ALPHA = 12, 40, 64, 52, 56
_COLOURS = 256


class Compression(IntEnum):
    """The compression of a DIB header: BI_RGB, BI_RLE8, BI_RLE4, BI_BITFIELDS and BI_ALPHABITFIELDS."""

    RGB = 0
    RLE8 = 1
    RLE4 = 2
    BITFIELDS = 3
    ALPHA_BITFIELDS = 6


_EMBEDDED = {4: "JPEG", 5: "PNG"}  # BI_JPEG, BI_PNG
_BIT_COUNTS = {
    Compression.RGB: {1, 2, 4, 8, 16, 24, 32},
    Compression.RLE8: {8},
    Compression.RLE4: {4},
    Compression.BITFIELDS: {16, 24, 32},
    Compression.ALPHA_BITFIELDS: {16, 24, 32},
}
_DEFAULT_MASKS = {
    16: (0x7C00, 0x03E0, 0x001F, 0),
    24: (0xFF0000, 0xFF00, 0xFF, 0),
    32: (0xFF0000, 0xFF00, 0xFF, 0),
}


@dataclass(frozen=True)
class BmpHeader:
    """What is needed to decode a BMP."""

    size: tuple[int, int]
    is_top_down: bool
    bits: int  # per pixel
    compression: Compression
    masks: tuple[int, int, int, int]  # of red, green, blue and alpha, if there is no palette
    palette: bytes  # RGB of 256 colours; those that are not in the file are black
    start: int  # of the pixels

    @property
    def stride(self) -> int:
        """Bytes of a row that is not compressed."""
        return (self.size[0] * self.bits + 31) // 32 * 4


def read_header(data: bytes) -> BmpHeader:
    """Read the headers from a file's first bytes. Raise UndecodableImageError for unsupported or invalid ones."""
    start, length = struct.unpack_from("<II", data, 10)
    if length == _CORE:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        compression = colours = 0
    else:
        # Fields that are missing in an OS/2 header are 0.
        fields = data[_FILE_HEADER : _FILE_HEADER + min(length, _INFO)].ljust(_INFO, b"\0")
        _, width, height, _, bits, compression, _, _, _, colours, _ = struct.unpack("<IiiHHIIiiII", fields)
    compression = _check_compression(compression, bits, length)
    masks, end = _read_masks(data, length, bits, compression)
    palette = b""
    if bits <= 8:
        count = min(colours or 1 << bits, 1 << bits)
        entry = 3 if length == _CORE else 4
        table = data[end : end + entry * count]  # without one, browsers use the bytes in its place
        if len(table) < entry * count:
            raise UndecodableImageError.unreadable("the palette is truncated", truncated=True)
        end += entry * count
        palette = b"".join(table[at : at + 3][::-1] for at in range(0, len(table), entry))
    if width <= 0 or height == 0:
        raise UndecodableImageError.unreadable(f"{width} x {height} pixels")
    return BmpHeader(
        (width, abs(height)),
        is_top_down=height < 0,
        bits=bits,
        compression=compression,
        masks=masks,
        palette=palette.ljust(3 * _COLOURS, b"\0"),
        start=start or end,
    )


def _check_compression(compression: int, bits: int, length: int) -> Compression:
    is_os2 = length not in {_CORE, _INFO, _WITH_MASKS, _WITH_ALPHA} and length <= _OS2
    if is_os2 and compression in {3, 4}:
        name = "1-bit Huffman" if compression == 3 else "24-bit run-length"
        detail = f"an OS/2 bitmap with {name} encoding is not supported"
        raise UndecodableImageError(ErrorCode.UNSUPPORTED_FORMAT, detail)
    if compression in _EMBEDDED:
        detail = f"a BMP with a {_EMBEDDED[compression]} inside is not supported"
        raise UndecodableImageError(ErrorCode.UNSUPPORTED_FORMAT, detail)
    if compression not in set(Compression) or bits not in _BIT_COUNTS[Compression(compression)]:
        raise UndecodableImageError.unreadable(f"compression {compression} with {bits} bits per pixel")
    return Compression(compression)


def _read_masks(
    data: bytes, length: int, bits: int, compression: Compression
) -> tuple[tuple[int, int, int, int], int]:
    """Return the bit masks of red, green, blue and alpha, and the end of the headers."""
    end = _FILE_HEADER + length
    if compression not in {Compression.BITFIELDS, Compression.ALPHA_BITFIELDS}:
        return _DEFAULT_MASKS.get(bits, (0, 0, 0, 0)), end
    has_alpha = compression == Compression.ALPHA_BITFIELDS or length >= _WITH_ALPHA
    red, green, blue, alpha = struct.unpack_from("<IIII", data, _FILE_HEADER + _INFO)
    if length < _WITH_MASKS:
        end += 16 if has_alpha else 12
    return (red, green, blue, alpha if has_alpha else 0), end
