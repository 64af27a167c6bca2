"""ThumbHash: a picture's blurred preview in about 25 bytes, as its format's reference decoders read it.

The picture is split into brightness, two colour differences and alpha; of each, the lowest frequencies of a cosine
transform are kept, four bits apiece. 24 pixels along the longer edge are plenty for its seven frequencies.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import mul

from thumbmill.thumbnailer.imaging.geometry import Size

_BRIGHT, _BRIGHT_WITH_ALPHA = 7, 5  # frequencies along the longer edge
_COLOUR, _ALPHA = 3, 5


@dataclass(frozen=True)
class Planes:
    """A small picture's planes, row by row, each level from 0 to 255. What is clear has the mean colour."""

    size: Size
    light: Sequence[int]  # the mean of red, green and blue
    warm: Sequence[int]  # yellow against blue, 127.5 where they balance
    red: Sequence[int]  # red against green, likewise
    alpha: Sequence[int] | None  # None where nothing shows through


def make_thumbhash(planes: Planes) -> bytes:
    """Hash a picture."""
    width, height = planes.size
    longer, bright = max(planes.size), _BRIGHT if planes.alpha is None else _BRIGHT_WITH_ALPHA
    across, down = (max(1, (2 * bright * edge + longer) // (2 * longer)) for edge in planes.size)
    light = _transform(planes.light, width, max(3, across), max(3, down))
    warm = _transform(planes.warm, width, _COLOUR, _COLOUR)
    red = _transform(planes.red, width, _COLOUR, _COLOUR)
    alpha = _transform(planes.alpha, width, _ALPHA, _ALPHA) if planes.alpha is not None else None

    landscape = width > height
    head = _level(light.mean, 63) | _level(warm.mean, 63) << 6 | _level(red.mean, 63) << 12
    head |= _level(light.scale, 31) << 18 | (alpha is not None) << 23
    shape = (down if landscape else across) | landscape << 15
    shape |= _level(2 * warm.scale, 63) << 3 | _level(2 * red.scale, 63) << 9  # differences go from -1 to 1
    levels = light.levels + warm.levels + red.levels
    out = head.to_bytes(3, "little") + shape.to_bytes(2, "little")
    if alpha is not None:
        out += bytes((_level(alpha.mean, 15) | _level(alpha.scale, 15) << 4,))
        levels += alpha.levels
    levels += [0] * (len(levels) % 2)
    return out + bytes(low | high << 4 for low, high in zip(levels[::2], levels[1::2], strict=True))


@dataclass(frozen=True)
class _Frequencies:
    mean: float  # 0 to 1
    scale: float  # the strongest of the others
    levels: list[int]  # the others, from 0 for -scale to 15 for +scale


def _transform(plane: Sequence[int], width: int, across: int, down: int) -> _Frequencies:
    """Transform along the rows, then along what came out of it; only the triangle of low frequencies is kept."""
    rows = [plane[start : start + width] for start in range(0, len(plane), width)]
    columns = [[sum(map(mul, row, _wave(width, fx))) for row in rows] for fx in range(across)]
    mean, *others = (
        sum(map(mul, columns[fx], _wave(len(rows), fy))) / (255 * len(plane))
        for fy in range(down)
        for fx in range(across)
        if fx * down < across * (down - fy)
    )
    scale = max(map(abs, others))
    return _Frequencies(mean, scale, [_level(0.5 + value / scale / 2, 15) if scale else 0 for value in others])


@lru_cache(1024)
def _wave(length: int, frequency: int) -> tuple[float, ...]:
    return tuple(math.cos(math.pi / length * frequency * (at + 0.5)) for at in range(length))


def _level(value: float, most: int) -> int:
    return min(most, max(0, math.floor(most * value + 0.5)))
