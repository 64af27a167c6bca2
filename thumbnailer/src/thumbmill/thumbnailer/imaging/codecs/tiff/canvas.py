"""The levels of a whole TIFF, put together from its chunks."""

from collections.abc import Iterator
from contextlib import suppress

import numpy as np

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.codecs.tiff.chunks import read_bands
from thumbmill.thumbnailer.imaging.codecs.tiff.layout import CMYK, LAB, PALETTE, RGB, PixelLayout
from thumbmill.thumbnailer.imaging.codecs.tiff.samples import (
    Bytes,
    FloatRange,
    Values,
    read_values,
    stretch,
    to_levels,
)
from thumbmill.thumbnailer.imaging.model import UndecodableImageError

_BLANK = 0  # black, as Pillow leaves what is missing of other formats
_MOST_OUTSIDE = 0.01  # of a picture's floats: rounding, and the brightest of lights


class Canvas:
    """Colours, (rows, pixels, channels) as Pillow has them in memory, and beside or among them alpha."""

    def __init__(self, layout: PixelLayout) -> None:
        self._layout = layout
        self._seen = FloatRange()
        size = layout.height, layout.width
        kind = RGB if layout.photometric == PALETTE else layout.photometric
        colours = {RGB: 3, LAB: 3, CMYK: 4}.get(kind, 1)
        among = colours + (layout.alpha is not None) if kind != CMYK else colours
        channels = 4 if kind == RGB else among  # three of four bytes are Pillow's RGB
        self.pixels: Bytes = np.full((*size, channels), _BLANK, "u1")
        self.alpha: Bytes | None = None  # of CMYK, which has no mode with alpha
        if layout.alpha is not None:
            self.alpha = np.full(size, 255, "u1") if kind == CMYK else self.pixels[..., colours]
        self._colours = self.pixels[..., :colours]

    def fill(self, data: bytes, *, keep_damaged: bool) -> bool:
        """Read a file's pixels; tell whether some are missing, which ``keep_damaged`` allows for.

        Raises UndecodableImageError where they are missing and must not be, where none came, and for floats that
        have another black and white than 0 and 1.
        """
        damaged = False
        try:
            for run in self._runs(single=False):
                for _ in self._read_run(data, *run):
                    pass
        except UndecodableImageError:
            if not keep_damaged or not self._read_rest(data):
                raise
            damaged = True
        self._check_floats()
        return damaged

    def _read_rest(self, data: bytes) -> int:
        """Read every chunk as far as it goes; return how many rows came."""
        rows = 0
        for run in self._runs(single=True):
            with suppress(UndecodableImageError):
                for count in self._read_run(data, *run):
                    rows += count
        return rows

    def _read_run(self, data: bytes, plane: int, first: int, rows: int, top: int) -> Iterator[int]:
        done = 0
        for band in read_bands(data, self._layout, first, rows):
            self._place(band, plane, first, done, top)
            done += len(band)
            yield len(band)

    def _runs(self, *, single: bool) -> Iterator[tuple[int, int, int, int]]:
        """Give the chunks in runs: the plane, the first chunk, the rows that it has in all, and where it begins.

        A run is all strips of a plane, or the tiles beside each other; or, so that damage takes no more with it,
        one chunk.
        """
        layout = self._layout
        for plane in range(layout.shown if layout.planar else 1):
            first = plane * layout.across * layout.down
            if not single and not layout.is_tiled:
                yield plane, first, layout.height, 0
                continue
            together = 1 if single else layout.across
            for chunk in range(0, layout.across * layout.down, together):
                down = chunk // layout.across
                yield plane, first + chunk, together * layout.rows(down), down * layout.chunk_height

    def _place(self, band: Bytes, plane: int, first: int, done: int, top: int) -> None:
        """Put rows of chunks where they belong; ``done`` rows of the run from ``first`` on were before them."""
        layout = self._layout
        values = read_values(band, layout)
        if not layout.is_tiled:
            self._put(values, plane, slice(top + done, top + done + len(values)), slice(0, layout.width))
            return
        at = 0
        while at < len(values):
            tile, row = divmod(done + at, layout.chunk_height)
            count = min(layout.chunk_height - row, len(values) - at)
            left = (first + tile) % layout.across * layout.chunk_width
            height, width = (
                max(0, min(count, layout.height - top - row)),
                min(layout.chunk_width, layout.width - left),
            )
            rows, columns = slice(top + row, top + row + height), slice(left, left + width)
            self._put(values[at : at + height, :width], plane, rows, columns)
            at += count

    def _put(self, values: Values, plane: int, rows: slice, columns: slice) -> None:
        layout = self._layout
        if layout.planar and plane == layout.colours and self.alpha is not None:
            self.alpha[rows, columns] = stretch(values[..., :1], layout.bits)[..., 0]
            return
        colours = values if layout.planar else values[..., : layout.colours]
        channels = slice(plane, plane + 1) if layout.planar and layout.palette is None else slice(None)
        self._colours[rows, columns, channels] = to_levels(colours, layout, self._seen)
        if self.alpha is not None and not layout.planar:
            alpha = values[..., layout.colours : layout.colours + 1]
            self.alpha[rows, columns] = stretch(alpha, layout.bits)[..., 0]

    def _check_floats(self) -> None:
        seen = self._seen
        if seen.outside > _MOST_OUTSIDE * seen.samples:
            share = 100 * seen.outside // seen.samples
            detail = f"a TIFF of floats is shown from 0, black, to 1, white; {share} % of them lie outside"
            raise UndecodableImageError(ErrorCode.UNSUPPORTED_FORMAT, detail)
