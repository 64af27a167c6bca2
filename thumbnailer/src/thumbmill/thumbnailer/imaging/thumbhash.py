"""ThumbHash: a blurred preview of an image in about 25 bytes (https://evanw.github.io/thumbhash/).

The names are those of the reference implementation: the channels l (luminance), p (yellow and blue), q (red and
green) and a (alpha); of each, the DC and the lowest AC coefficients of a cosine transform. An AC coefficient takes
four bits. 24 pixels along the longer edge are plenty for its seven frequencies.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import mul

from thumbmill.thumbnailer.imaging.geometry import Size

_L_LIMIT, _L_LIMIT_WITH_ALPHA = 7, 5  # frequencies along the longer edge
_PQ_LIMIT, _A_LIMIT = 3, 5


@dataclass(frozen=True)
class Planes:
    """The channels of a small image, row by row, in levels from 0 to 255. Transparent ones have the mean colour."""

    size: Size
    l: Sequence[int]  # noqa: E741 - the mean of red, green and blue
    p: Sequence[int]  # yellow against blue, 127.5 where they balance
    q: Sequence[int]  # red against green, likewise
    a: Sequence[int] | None  # None for an opaque image


def make_thumbhash(planes: Planes) -> bytes:
    """Encode a ThumbHash."""
    width, height = planes.size
    longer, l_limit = max(planes.size), _L_LIMIT if planes.a is None else _L_LIMIT_WITH_ALPHA
    lx, ly = (max(1, (2 * l_limit * edge + longer) // (2 * longer)) for edge in planes.size)
    l = _encode_channel(planes.l, width, max(3, lx), max(3, ly))  # noqa: E741
    p = _encode_channel(planes.p, width, _PQ_LIMIT, _PQ_LIMIT)
    q = _encode_channel(planes.q, width, _PQ_LIMIT, _PQ_LIMIT)
    a = _encode_channel(planes.a, width, _A_LIMIT, _A_LIMIT) if planes.a is not None else None

    is_landscape = width > height
    header24 = _quantize(l.dc, 63) | _quantize(p.dc, 63) << 6 | _quantize(q.dc, 63) << 12
    header24 |= _quantize(l.scale, 31) << 18 | (a is not None) << 23
    header16 = (ly if is_landscape else lx) | is_landscape << 15
    header16 |= _quantize(2 * p.scale, 63) << 3 | _quantize(2 * q.scale, 63) << 9  # p and q range from -1 to 1
    ac = l.ac + p.ac + q.ac
    out = header24.to_bytes(3, "little") + header16.to_bytes(2, "little")
    if a is not None:
        out += bytes((_quantize(a.dc, 15) | _quantize(a.scale, 15) << 4,))
        ac += a.ac
    ac += [0] * (len(ac) % 2)
    return out + bytes(low | high << 4 for low, high in zip(ac[::2], ac[1::2], strict=True))


@dataclass(frozen=True)
class _Channel:
    dc: float  # the mean, 0 to 1
    scale: float  # the largest of the AC coefficients
    ac: list[int]  # from 0 for -scale to 15 for +scale


def _encode_channel(plane: Sequence[int], width: int, nx: int, ny: int) -> _Channel:
    """Transform along the rows, then along the columns of the result. Keep the triangle of low frequencies."""
    rows = [plane[start : start + width] for start in range(0, len(plane), width)]
    columns = [[sum(map(mul, row, _cosine(width, cx))) for row in rows] for cx in range(nx)]
    dc, *ac = (
        sum(map(mul, columns[cx], _cosine(len(rows), cy))) / (255 * len(plane))
        for cy in range(ny)
        for cx in range(nx)
        if cx * ny < nx * (ny - cy)
    )
    scale = max(map(abs, ac))
    return _Channel(dc, scale, [_quantize(0.5 + value / scale / 2, 15) if scale else 0 for value in ac])


@lru_cache(1024)
def _cosine(length: int, frequency: int) -> tuple[float, ...]:
    return tuple(math.cos(math.pi / length * frequency * (index + 0.5)) for index in range(length))


def _quantize(value: float, largest: int) -> int:
    return min(largest, max(0, math.floor(largest * value + 0.5)))
