"""Conversion of a TIFF's bytes to levels of 0 to 255.

A sample becomes the eight highest of its bits, or is scaled up if it has fewer: 0 is black and all ones are white,
whatever range a file's samples have (TIFF 6.0, PhotometricInterpretation). Of floats, 1 is white.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thumbmill.thumbnailer.imaging.codecs.tiff.layout import PixelLayout
from thumbmill.thumbnailer.imaging.codecs.tiff.tags import (
    FLOATING_POINT_PREDICTOR,
    HORIZONTAL_DIFFERENCING,
    WHITE_IS_ZERO,
)

Bytes = NDArray[np.uint8]
Values = NDArray[Any]  # numbers of any type


@dataclass
class FloatRange:
    """A count of floats, to decide whether 0 is their black and 1 their white."""

    samples: int = 0
    outside: int = 0  # of 0 to 1, or NaN

    def add(self, values: Values) -> None:
        """Count values."""
        self.samples += values.size
        self.outside += values.size - int(np.count_nonzero((values >= 0) & (values <= 1)))


def read_values(rows: Bytes, layout: PixelLayout) -> Values:
    """Convert whole rows of a chunk, (rows, bytes), to its samples as numbers: (rows, pixels, samples)."""
    shape = len(rows), layout.chunk_width, layout.chunk_samples
    if layout.predictor == FLOATING_POINT_PREDICTOR:  # TIFF technical note 3: bytes of equal significance together
        summed = np.cumsum(rows.reshape(len(rows), -1, layout.chunk_samples), axis=1, dtype="u1")
        by_significance = summed.reshape(len(rows), layout.bits // 8, -1)
        floats = np.ascontiguousarray(by_significance.transpose(0, 2, 1))
        return floats.view(f">f{layout.bits // 8}").reshape(shape)
    values = _unpack(rows, layout).reshape(shape)
    if layout.predictor == HORIZONTAL_DIFFERENCING:
        number = values.dtype.newbyteorder("=")
        unsigned = f"u{number.itemsize}"
        differences = values.view(np.dtype(unsigned).newbyteorder(values.dtype.byteorder))
        values = np.cumsum(differences, axis=1, dtype=unsigned).view(number)
    return values


def to_levels(values: Values, layout: PixelLayout, float_range: FloatRange) -> Bytes:
    """Convert colour samples, (rows, pixels, samples), to levels; the single one of a palette becomes three."""
    if layout.palette is not None:
        levels: Bytes = layout.palette[values[..., 0]]
        return levels
    if layout.is_float:
        float_range.add(values)
        levels = np.rint(np.clip(np.nan_to_num(values.astype("f4")), 0, 1) * 255).astype("u1")
    else:
        levels = scale_to_bytes(values, layout.bits)
    return ~levels if layout.photometric == WHITE_IS_ZERO else levels


def scale_to_bytes(values: Values, bits: int) -> Bytes:
    """Convert integers of a bit depth to eight bits."""
    if bits == 8:
        return values.astype("u1", copy=False)
    if bits < 8:
        levels: Bytes = np.rint(np.arange(2**bits) * 255 / (2**bits - 1)).astype("u1")[values]
        return levels
    if bits in {16, 32, 64}:  # a view of the highest byte, which is faster than a shift
        highest: Bytes = values.view("u1")[..., (0 if values.dtype.str[0] == ">" else bits // 8 - 1) :: bits // 8]
        return highest
    shifted: Bytes = (values >> (bits - 8)).astype("u1")
    return shifted


def _unpack(rows: Bytes, layout: PixelLayout) -> Values:
    """Convert rows of bytes to rows of numbers."""
    bits, order = layout.bits, layout.byte_order
    if bits == 8:
        return rows
    if bits in {16, 32, 64}:
        return np.ascontiguousarray(rows).view(f"{order}{'f' if layout.is_float else 'u'}{bits // 8}")
    count = layout.chunk_width * layout.chunk_samples
    if bits == 24:  # of the other depths the only one that has a byte order
        triples = rows.reshape(len(rows), count, 3)[..., :: -1 if order == "<" else 1]
        return np.pad(triples, ((0, 0), (0, 0), (1, 0))).view(">u4")
    single = np.unpackbits(rows, axis=1, count=count * bits)
    if bits == 1:
        return single
    width = 8 if bits < 8 else 16
    padded = np.pad(single.reshape(len(rows), count, bits), ((0, 0), (0, 0), (width - bits, 0)))
    return np.packbits(padded, axis=2).view(f">u{width // 8}")
