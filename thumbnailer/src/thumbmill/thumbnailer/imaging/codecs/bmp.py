"""BMPs of every kind that browsers show, as a plugin of Pillow in the place of its own.

Pillow's own takes some layouts of bit fields alone, no two bits a pixel, no short header of OS/2, and fills with a
colour what run lengths leave out. Rows of indices and of usual fields are still read by Pillow's raw decoder.
"""

from typing import IO, cast

import numpy as np
from PIL import (
    BmpImagePlugin,  # noqa: F401 - Pillow would import it later, and put it in our place
    Image,
    ImageFile,
    ImagePalette,
)

from thumbmill.thumbnailer.imaging.codecs.bmp_header import ENOUGH_BYTES, BmpHeader, Compression, read_header

_INDEXED = {1: "P;1", 2: "P;2", 4: "P;4", 8: "P"}  # raw modes by bits
_FIELDS = {  # raw modes by bits and masks
    (16, (0x7C00, 0x03E0, 0x001F, 0)): "BGR;15",
    (16, (0xF800, 0x07E0, 0x001F, 0)): "BGR;16",
    (24, (0xFF0000, 0xFF00, 0xFF, 0)): "BGR",
    (32, (0xFF0000, 0xFF00, 0xFF, 0)): "BGRX",
}
_END_OF_ROW, _END, _MOVE = 0, 1, 2  # behind a count of 0
_BLACK = bytes(3)
_ROWS = 64  # that are taken apart at once: temporary numbers take eight times the memory of pixels


class BmpFile(ImageFile.ImageFile):
    """A BMP."""

    format = "BMP"
    format_description = "Windows or OS/2 bitmap"

    def _open(self) -> None:
        header = read_header(cast("IO[bytes]", self.fp).read(ENOUGH_BYTES))
        self._size = header.size
        raw_mode = _INDEXED.get(header.bits) or _FIELDS.get((header.bits, header.masks))
        self._mode = "P" if header.bits <= 8 else "RGBA" if header.masks[3] else "RGB"
        if self._mode == "P":
            self.palette = ImagePalette.raw("RGB", header.palette)
        box = (0, 0, *header.size)
        if raw_mode and header.compression not in {Compression.RLE8, Compression.RLE4}:
            arguments = raw_mode, header.stride, 1 if header.is_top_down else -1
            self.tile = [ImageFile._Tile("raw", box, header.start, arguments)]  # noqa: SLF001 - as every plugin
        else:
            name = "bmp_fields" if header.bits > 8 else "bmp_runs"
            self.tile = [ImageFile._Tile(name, box, header.start, (header,))]  # noqa: SLF001


class _Fields(ImageFile.PyDecoder):
    """Takes apart pixels whose colours have any masks."""

    _pulls_fd = True

    def decode(self, _: object) -> tuple[int, int]:
        header: BmpHeader = self.args[0]
        width, height = header.size
        has_alpha = header.masks[3] != 0
        channels = 4 if has_alpha else 3
        out = np.zeros((height, width, channels), np.uint8)
        for first in range(0, height, _ROWS):
            rows = min(_ROWS, height - first)
            data = cast("IO[bytes]", self.fd).read(rows * header.stride)
            if len(data) < rows * header.stride and not ImageFile.LOAD_TRUNCATED_IMAGES:
                raise OSError("image file is truncated")
            data = data.ljust(rows * header.stride, b"\0")
            numbers = _read_numbers(data, header).astype(np.int64)
            for channel, mask in enumerate(header.masks[:channels]):
                out[first : first + rows, :, channel] = _scale(numbers & mask, mask)
        mode = "RGBA" if has_alpha else "RGB"
        self.set_as_raw(out.data, mode, (0, 1 if header.is_top_down else -1))  # type: ignore[arg-type] # any buffer
        return -1, 0


def _read_numbers(data: bytes, header: BmpHeader) -> np.ndarray:
    rows = np.frombuffer(data, np.uint8).reshape(-1, header.stride)
    size = header.bits // 8
    pixels = rows[:, : header.size[0] * size].reshape(len(rows), header.size[0], size)
    wide = np.zeros((*pixels.shape[:2], 4), np.uint8)
    wide[..., :size] = pixels
    return wide.view("<u4")[..., 0]


def _scale(numbers: np.ndarray, mask: int) -> np.ndarray:
    """Bring what a mask leaves to eight bits."""
    if not mask:
        return np.zeros(numbers.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    most = mask >> shift
    return ((numbers >> shift) * 255 // most).astype(np.uint8)


class _Runs(ImageFile.PyDecoder):
    """Unpacks run lengths. What they leave out is black, as browsers show it, if the palette has black at all."""

    _pulls_fd = True

    def decode(self, _: object) -> tuple[int, int]:
        header: BmpHeader = self.args[0]
        colours = [header.palette[at : at + 3] for at in range(0, len(header.palette), 3)]
        blank = colours.index(_BLACK) if _BLACK in colours else 0
        pixels, is_whole = _unpack(cast("IO[bytes]", self.fd).read(), header, blank)
        if not is_whole and not ImageFile.LOAD_TRUNCATED_IMAGES:
            raise OSError("image file is truncated")
        self.set_as_raw(bytes(pixels), "P", (0, 1 if header.is_top_down else -1))
        return -1, 0


def _unpack(data: bytes, header: BmpHeader, blank: int) -> tuple[bytearray, bool]:
    """Give a byte for each pixel, in the order of the file's rows, and whether the data went on to their end."""
    width, height = header.size
    halves = header.compression is Compression.RLE4
    pixels = bytearray((blank,)) * (width * height)
    at = x = y = 0
    while y < height and at + 1 < len(data):
        count, value = data[at], data[at + 1]
        at += 2
        if count:
            run = bytes((value >> 4, value & 15)) * (count // 2 + 1) if halves else bytes((value,)) * count
        elif value == _END_OF_ROW:
            x, y = 0, y + 1
            continue
        elif value == _END:
            return pixels, True
        elif value == _MOVE:
            move = data[at : at + 2].ljust(2, b"\0")
            at, x, y = at + 2, x + move[0], y + move[1]
            continue
        else:
            count = value
            length = (count + 1) // 2 if halves else count
            run = data[at : at + length]
            run = bytes(half for byte in run for half in (byte >> 4, byte & 15)) if halves else run
            at += length + length % 2
        shown = min(count, len(run), width - x)
        if shown > 0:
            pixels[y * width + x : y * width + x + shown] = run[:shown]
        x += count
    return pixels, y >= height or (y == height - 1 and x >= width)


def register() -> None:
    """Have Pillow open BMPs by this plugin."""
    Image.register_open(BmpFile.format, BmpFile, lambda prefix: prefix.startswith(b"BM"))
    Image.register_decoder("bmp_fields", _Fields)
    Image.register_decoder("bmp_runs", _Runs)
