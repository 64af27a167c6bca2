"""BMPs of every kind that browsers show: a Pillow plugin in the place of Pillow's own.

Pillow's plugin reads only some bit masks, no two bits per pixel and no short OS/2 header, and fills gaps in run
lengths with a colour. Its raw decoder still reads rows of indices and of common masks.
"""

from typing import IO, cast

import numpy as np
from PIL import (
    BmpImagePlugin,  # noqa: F401 - a later import by Pillow would replace our plugin
    Image,
    ImageFile,
    ImagePalette,
)

from thumbmill.thumbnailer.imaging.codecs.bmp_header import MAX_HEADER_BYTES, BmpHeader, Compression, read_header

_INDEXED = {1: "P;1", 2: "P;2", 4: "P;4", 8: "P"}  # raw modes by bits per pixel
_MASKED = {  # raw modes by bits per pixel and masks
    (16, (0x7C00, 0x03E0, 0x001F, 0)): "BGR;15",
    (16, (0xF800, 0x07E0, 0x001F, 0)): "BGR;16",
    (24, (0xFF0000, 0xFF00, 0xFF, 0)): "BGR",
    (32, (0xFF0000, 0xFF00, 0xFF, 0)): "BGRX",
}
_END_OF_LINE, _END_OF_BITMAP, _DELTA = 0, 1, 2  # RLE escapes, after a count of 0; larger values: absolute mode
_BLACK = bytes(3)
_BAND_ROWS = 64  # that are converted at a time: the integers take eight times the memory of the pixels


class BmpFile(ImageFile.ImageFile):
    """A BMP."""

    format = "BMP"
    format_description = "Windows or OS/2 bitmap"

    def _open(self) -> None:
        header = read_header(cast("IO[bytes]", self.fp).read(MAX_HEADER_BYTES))
        self._size = header.size
        raw_mode = _INDEXED.get(header.bits) or _MASKED.get((header.bits, header.masks))
        self._mode = "P" if header.bits <= 8 else "RGBA" if header.masks[3] else "RGB"
        if self._mode == "P":
            self.palette = ImagePalette.raw("RGB", header.palette)
        box = (0, 0, *header.size)
        if raw_mode and header.compression not in {Compression.RLE8, Compression.RLE4}:
            arguments = raw_mode, header.stride, 1 if header.is_top_down else -1
            self.tile = [ImageFile._Tile("raw", box, header.start, arguments)]  # noqa: SLF001 - as every plugin
        else:
            name = "bmp_bit_masks" if header.bits > 8 else "bmp_run_lengths"
            self.tile = [ImageFile._Tile(name, box, header.start, (header,))]  # noqa: SLF001


class _BitMaskDecoder(ImageFile.PyDecoder):
    """A decoder of pixels with any bit masks."""

    _pulls_fd = True

    def decode(self, _: object) -> tuple[int, int]:
        header: BmpHeader = self.args[0]
        width, height = header.size
        has_alpha = header.masks[3] != 0
        channels = 4 if has_alpha else 3
        out = np.zeros((height, width, channels), np.uint8)
        for first in range(0, height, _BAND_ROWS):
            rows = min(_BAND_ROWS, height - first)
            data = cast("IO[bytes]", self.fd).read(rows * header.stride)
            if len(data) < rows * header.stride and not ImageFile.LOAD_TRUNCATED_IMAGES:
                raise OSError("image file is truncated")
            data = data.ljust(rows * header.stride, b"\0")
            numbers = _read_integers(data, header).astype(np.int64)
            for channel, mask in enumerate(header.masks[:channels]):
                out[first : first + rows, :, channel] = _scale_to_bytes(numbers & mask, mask)
        mode = "RGBA" if has_alpha else "RGB"
        self.set_as_raw(out.data, mode, (0, 1 if header.is_top_down else -1))  # type: ignore[arg-type] # any buffer
        return -1, 0


def _read_integers(data: bytes, header: BmpHeader) -> np.ndarray:
    rows = np.frombuffer(data, np.uint8).reshape(-1, header.stride)
    size = header.bits // 8
    pixels = rows[:, : header.size[0] * size].reshape(len(rows), header.size[0], size)
    wide = np.zeros((*pixels.shape[:2], 4), np.uint8)
    wide[..., :size] = pixels
    return wide.view("<u4")[..., 0]


def _scale_to_bytes(numbers: np.ndarray, mask: int) -> np.ndarray:
    """Scale masked integers to eight bits."""
    if not mask:
        return np.zeros(numbers.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    highest = mask >> shift
    return ((numbers >> shift) * 255 // highest).astype(np.uint8)


class _RunLengthDecoder(ImageFile.PyDecoder):
    """A decoder of RLE8 and RLE4. Gaps are black, as in browsers, if the palette contains black."""

    _pulls_fd = True

    def decode(self, _: object) -> tuple[int, int]:
        header: BmpHeader = self.args[0]
        colours = [header.palette[at : at + 3] for at in range(0, len(header.palette), 3)]
        blank = colours.index(_BLACK) if _BLACK in colours else 0
        pixels, is_complete = _expand_runs(cast("IO[bytes]", self.fd).read(), header, blank)
        if not is_complete and not ImageFile.LOAD_TRUNCATED_IMAGES:
            raise OSError("image file is truncated")
        self.set_as_raw(bytes(pixels), "P", (0, 1 if header.is_top_down else -1))
        return -1, 0


def _expand_runs(data: bytes, header: BmpHeader, blank: int) -> tuple[bytearray, bool]:
    """Return a byte for each pixel, in the order of the file's rows, and whether the data are complete."""
    width, height = header.size
    is_rle4 = header.compression is Compression.RLE4
    pixels = bytearray((blank,)) * (width * height)
    at = x = y = 0
    while y < height and at + 1 < len(data):
        count, value = data[at], data[at + 1]
        at += 2
        if count:
            run = bytes((value >> 4, value & 15)) * (count // 2 + 1) if is_rle4 else bytes((value,)) * count
        elif value == _END_OF_LINE:
            x, y = 0, y + 1
            continue
        elif value == _END_OF_BITMAP:
            return pixels, True
        elif value == _DELTA:
            delta = data[at : at + 2].ljust(2, b"\0")
            at, x, y = at + 2, x + delta[0], y + delta[1]
            continue
        else:
            count = value
            length = (count + 1) // 2 if is_rle4 else count
            run = data[at : at + length]
            run = bytes(half for byte in run for half in (byte >> 4, byte & 15)) if is_rle4 else run
            at += length + length % 2
        shown = min(count, len(run), width - x)
        if shown > 0:
            pixels[y * width + x : y * width + x + shown] = run[:shown]
        x += count
    return pixels, y >= height or (y == height - 1 and x >= width)


def register() -> None:
    """Register the plugin with Pillow."""
    Image.register_open(BmpFile.format, BmpFile, lambda prefix: prefix.startswith(b"BM"))
    Image.register_decoder("bmp_bit_masks", _BitMaskDecoder)
    Image.register_decoder("bmp_run_lengths", _RunLengthDecoder)
