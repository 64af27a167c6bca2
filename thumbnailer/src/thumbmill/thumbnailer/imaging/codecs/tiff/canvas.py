"""The pixels of a whole TIFF, assembled from its chunks."""

from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.codecs.tiff.chunks import read_bands
from thumbmill.thumbnailer.imaging.codecs.tiff.layout import PixelLayout
from thumbmill.thumbnailer.imaging.codecs.tiff.samples import (
    Bytes,
    FloatRange,
    Values,
    read_values,
    scale_to_bytes,
    to_levels,
)
from thumbmill.thumbnailer.imaging.codecs.tiff.tags import CMYK, LAB, PALETTE, RGB
from thumbmill.thumbnailer.imaging.model import UndecodableImageError

_BLANK = 0  # black, as Pillow leaves missing parts of other formats
_MAX_OUTSIDE = 0.01  # of an image's floats: rounding, and the brightest of lights


class Canvas:
    """Pixels, (rows, pixels, channels) as in Pillow's memory, with alpha among the channels or separate."""

    def __init__(self, layout: PixelLayout) -> None:
        self._layout = layout
        self._float_range = FloatRange()
        size = layout.height, layout.width
        kind = RGB if layout.photometric == PALETTE else layout.photometric
        colours = {RGB: 3, LAB: 3, CMYK: 4}.get(kind, 1)
        with_alpha = colours + (layout.alpha is not None) if kind != CMYK else colours
        channels = 4 if kind == RGB else with_alpha  # Pillow's RGB takes four bytes
        self.pixels: Bytes = np.full((*size, channels), _BLANK, "u1")
        self.alpha: Bytes | None = None  # separate for CMYK, which has no mode with alpha
        if layout.alpha is not None:
            self.alpha = np.full(size, 255, "u1") if kind == CMYK else self.pixels[..., colours]
        self._colours = self.pixels[..., :colours]

    def fill(self, data: bytes, *, keep_damaged: bool) -> bool:
        """Read a file's pixels. Return whether some are missing, which ``keep_damaged`` allows.

        Raise UndecodableImageError if pixels are missing and that is not allowed, if there are none at all, and for
        floats whose black and white are not 0 and 1.
        """
        is_damaged = False
        try:
            for run in self._runs(single=False):
                for _ in self._read_run(data, *run):
                    pass
        except UndecodableImageError:
            if not keep_damaged or not self._read_rest(data):
                raise
            is_damaged = True
        self._check_floats()
        return is_damaged

    def _read_rest(self, data: bytes) -> int:
        """Read every chunk as far as it goes; return the number of rows that were read."""
        rows = 0
        for run in self._runs(single=True):
            with suppress(UndecodableImageError):
                for count in self._read_run(data, *run):
                    rows += count
        return rows

    def _read_run(self, data: bytes, plane: int, first: int, rows: int, top: int) -> Iterator[int]:
        done = 0
        for band in read_bands(data, self._layout, first, rows):
            self._put_band(band, plane, first, done, top)
            done += len(band)
            yield len(band)

    def _runs(self, *, single: bool) -> Iterator[tuple[int, int, int, int]]:
        """Yield runs of chunks: the plane, the first chunk, the number of rows in all, and the top of the run.

        A run is all strips of a plane, or a row of tiles. With ``single`` it is one chunk, so that damage affects
        no other.
        """
        layout = self._layout
        for plane in range(layout.visible_samples if layout.is_planar else 1):
            first = plane * layout.chunks_across * layout.chunks_down
            if not single and not layout.is_tiled:
                yield plane, first, layout.height, 0
                continue
            together = 1 if single else layout.chunks_across
            for chunk in range(0, layout.chunks_across * layout.chunks_down, together):
                down = chunk // layout.chunks_across
                yield plane, first + chunk, together * layout.rows(down), down * layout.chunk_height

    def _put_band(self, band: Bytes, plane: int, first: int, done: int, top: int) -> None:
        """Copy rows of chunks to their positions, after ``done`` rows of the run that starts at ``first``."""
        layout = self._layout
        values = read_values(band, layout)
        if not layout.is_tiled:
            self._put(values, plane, slice(top + done, top + done + len(values)), slice(0, layout.width))
            return
        at = 0
        while at < len(values):
            tile, row = divmod(done + at, layout.chunk_height)
            count = min(layout.chunk_height - row, len(values) - at)
            left = (first + tile) % layout.chunks_across * layout.chunk_width
            height = max(0, min(count, layout.height - top - row))
            width = min(layout.chunk_width, layout.width - left)
            rows, columns = slice(top + row, top + row + height), slice(left, left + width)
            self._put(values[at : at + height, :width], plane, rows, columns)
            at += count

    def _put(self, values: Values, plane: int, rows: slice, columns: slice) -> None:
        layout = self._layout
        if layout.is_planar and plane == layout.colours and self.alpha is not None:
            self.alpha[rows, columns] = scale_to_bytes(values[..., :1], layout.bits)[..., 0]
            return
        colours = values if layout.is_planar else values[..., : layout.colours]
        channels = slice(plane, plane + 1) if layout.is_planar and layout.palette is None else slice(None)
        self._colours[rows, columns, channels] = to_levels(colours, layout, self._float_range)
        if self.alpha is not None and not layout.is_planar:
            alpha = values[..., layout.colours : layout.colours + 1]
            self.alpha[rows, columns] = scale_to_bytes(alpha, layout.bits)[..., 0]

    def _check_floats(self) -> None:
        seen = self._float_range
        if seen.outside > _MAX_OUTSIDE * seen.samples:
            share = 100 * seen.outside // seen.samples
            detail = f"the samples of a floating point TIFF must be from 0 (black) to 1 (white); {share} % are not"
            raise UndecodableImageError(ErrorCode.UNSUPPORTED_FORMAT, detail)
