"""What a BMP's headers say, Windows' of every version and OS/2's; where they are wrong, as Chromium has it.

The layout is that of Microsoft's BITMAPFILEHEADER, BITMAPCOREHEADER, BITMAPINFOHEADER and BITMAPV5HEADER.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.model import UndecodableImageError

ENOUGH_BYTES = 14 + 124 + 4 * 256  # the longest headers and palette
_FILE_HEADER, _CORE, _INFO, _OS2, _WITH_MASKS, _WITH_ALPHA = 14, 12, 40, 64, 52, 56  # lengths
_COLOURS = 256


class Compression(IntEnum):
    """How pixels are written."""

    NONE = 0
    RLE8 = 1
    RLE4 = 2
    MASKS = 3
    MASKS_AND_ALPHA = 6


_OTHER_KINDS = {4: "a JPEG", 5: "a PNG"}
_BITS = {
    Compression.NONE: {1, 2, 4, 8, 16, 24, 32},
    Compression.RLE8: {8},
    Compression.RLE4: {4},
    Compression.MASKS: {16, 24, 32},
    Compression.MASKS_AND_ALPHA: {16, 24, 32},
}
_USUAL_MASKS = {
    16: (0x7C00, 0x03E0, 0x001F, 0),
    24: (0xFF0000, 0xFF00, 0xFF, 0),
    32: (0xFF0000, 0xFF00, 0xFF, 0),
}


@dataclass(frozen=True)
class BmpHeader:
    """What is needed to decode a BMP."""

    size: tuple[int, int]
    is_top_down: bool
    bits: int  # of a pixel
    compression: Compression
    masks: tuple[int, int, int, int]  # of red, green, blue and alpha, where there is no palette
    palette: bytes  # RGB of 256 colours; those that are not in the file are black
    start: int  # of the pixels

    @property
    def stride(self) -> int:
        """Give the bytes of a row that is not compressed."""
        return (self.size[0] * self.bits + 31) // 32 * 4


def read_header(data: bytes) -> BmpHeader:
    """Read the headers from a file's first bytes. Raises UndecodableImageError."""
    start, length = struct.unpack_from("<II", data, 10)
    if length == _CORE:
        width, height, _, bits = struct.unpack_from("<HHHH", data, 18)
        kind = colours = 0
    else:
        # What an OS/2 header does not have is 0.
        fields = data[_FILE_HEADER : _FILE_HEADER + min(length, _INFO)].ljust(_INFO, b"\0")
        _, width, height, _, bits, kind, _, _, _, colours, _ = struct.unpack("<IiiHHIIiiII", fields)
    compression = _name_compression(kind, bits, length)
    masks, end = _read_masks(data, length, bits, compression)
    palette = b""
    if bits <= 8:
        count = min(colours or 1 << bits, 1 << bits)
        entry = 3 if length == _CORE else 4
        table = data[end : end + entry * count]  # where there is none, browsers take what stands there
        if len(table) < entry * count:
            raise UndecodableImageError.unreadable("the palette is cut", truncated=True)
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


def _name_compression(kind: int, bits: int, length: int) -> Compression:
    is_os2 = length not in {_CORE, _INFO, _WITH_MASKS, _WITH_ALPHA} and length <= _OS2
    if is_os2 and kind in {3, 4}:
        what = "1-bit Huffman codes" if kind == 3 else "run lengths of 24 bits"
        raise UndecodableImageError(ErrorCode.UNSUPPORTED_FORMAT, f"it is an OS/2 bitmap in {what}")
    if kind in _OTHER_KINDS:
        raise UndecodableImageError(ErrorCode.UNSUPPORTED_FORMAT, f"it is {_OTHER_KINDS[kind]} inside a BMP")
    if kind not in set(Compression) or bits not in _BITS[Compression(kind)]:
        raise UndecodableImageError.unreadable(f"compression {kind} of {bits} bits a pixel")
    return Compression(kind)


def _read_masks(
    data: bytes, length: int, bits: int, compression: Compression
) -> tuple[tuple[int, int, int, int], int]:
    """Give the masks of red, green, blue and alpha, and where the headers end."""
    end = _FILE_HEADER + length
    if compression not in {Compression.MASKS, Compression.MASKS_AND_ALPHA}:
        return _USUAL_MASKS.get(bits, (0, 0, 0, 0)), end
    has_alpha = compression == Compression.MASKS_AND_ALPHA or length >= _WITH_ALPHA
    red, green, blue, alpha = struct.unpack_from("<IIII", data, _FILE_HEADER + _INFO)
    if length < _WITH_MASKS:
        end += 16 if has_alpha else 12
    return (red, green, blue, alpha if has_alpha else 0), end
