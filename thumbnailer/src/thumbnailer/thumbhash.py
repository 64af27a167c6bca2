"""ThumbHash: a picture's blurred preview in about 25 bytes, as its format's reference decoders read it.

The picture is split into brightness, two colour differences and alpha; of each, the lowest frequencies of a cosine
transform are kept, four bits apiece. Only pixels go in: 32 along the longer edge are plenty for seven frequencies.
"""

import math
from functools import lru_cache
from operator import mul

Pixel = tuple[int, int, int, int]  # red, green, blue, alpha: 0 to 255
Rows = list[list[float]]

_BRIGHT, _BRIGHT_WITH_ALPHA = 7, 5  # frequencies along the longer edge
_COLOUR, _ALPHA = 3, 5


def hash_pixels(width: int, height: int, pixels: list[Pixel]) -> bytes:
    """Hash a small picture, given row by row. The time grows with its pixels: keep it at 32 x 32 or less."""
    longer = max(width, height)
    has_alpha = any(pixel[3] < 255 for pixel in pixels)
    bright = _BRIGHT_WITH_ALPHA if has_alpha else _BRIGHT
    across, down = (max(1, math.floor(bright * edge / longer + 0.5)) for edge in (width, height))

    *colours, alpha = (_rows(plane, width) for plane in _planes(pixels))
    light, warm, red = (
        _frequencies(plane, *counts)
        for plane, counts in zip(
            colours, [(max(3, across), max(3, down)), (_COLOUR, _COLOUR), (_COLOUR, _COLOUR)], strict=True
        )
    )
    clear = _frequencies(alpha, _ALPHA, _ALPHA) if has_alpha else None

    landscape = width > height
    head = (
        _level(light.mean, 63)
        | _level(0.5 + 0.5 * warm.mean, 63) << 6
        | _level(0.5 + 0.5 * red.mean, 63) << 12
        | _level(light.scale, 31) << 18
        | has_alpha << 23
    )
    shape = (
        (down if landscape else across) | _level(warm.scale, 63) << 3 | _level(red.scale, 63) << 9 | landscape << 15
    )
    out = head.to_bytes(3, "little") + shape.to_bytes(2, "little")
    if clear:
        out += bytes((_level(clear.mean, 15) | _level(clear.scale, 15) << 4,))
    parts = [part for channel in (light, warm, red, clear) if channel for part in channel.levels()]
    parts += [0] * (len(parts) % 2)
    return out + bytes(low | high << 4 for low, high in zip(parts[::2], parts[1::2], strict=True))


class _Frequencies:
    """A plane's mean, and how strong each frequency is, of which the strongest is the scale."""

    def __init__(self, mean: float, others: list[float]) -> None:
        self.mean = mean
        self.scale = max(map(abs, others), default=0.0)
        self._others = others

    def levels(self) -> list[int]:
        if not self.scale:
            return [0] * len(self._others)
        return [_level(0.5 + 0.5 * value / self.scale, 15) for value in self._others]


def _planes(pixels: list[Pixel]) -> tuple[list[float], list[float], list[float], list[float]]:
    """Split pixels into light, yellow - blue, red - green, and alpha; clear ones get the mean colour."""
    weight = sum(pixel[3] for pixel in pixels)
    mean = [sum(pixel[band] * pixel[3] for pixel in pixels) / weight if weight else 0.0 for band in range(3)]
    light, warm, red_green, alpha = list[float](), list[float](), list[float](), list[float]()
    for *colour, opacity in pixels:
        opaque = opacity / 255
        red, green, blue = (
            (own * opaque + common * (1 - opaque)) / 255 for own, common in zip(colour, mean, strict=True)
        )
        light.append((red + green + blue) / 3)
        warm.append((red + green) / 2 - blue)
        red_green.append(red - green)
        alpha.append(opaque)
    return light, warm, red_green, alpha


def _rows(plane: list[float], width: int) -> Rows:
    return [plane[start : start + width] for start in range(0, len(plane), width)]


def _frequencies(rows: Rows, across: int, down: int) -> _Frequencies:
    """Transform along the rows, then along what came out; only the triangle of low frequencies is kept."""
    width, height = len(rows[0]), len(rows)
    columns = [[sum(map(mul, row, _wave(width, fx))) for row in rows] for fx in range(across)]
    found = [
        sum(map(mul, columns[fx], _wave(height, fy))) / (width * height)
        for fy in range(down)
        for fx in range(across)
        if fx * down < across * (down - fy)
    ]
    return _Frequencies(found[0], found[1:])


@lru_cache(1024)
def _wave(length: int, frequency: int) -> tuple[float, ...]:
    return tuple(math.cos(math.pi / length * frequency * (at + 0.5)) for at in range(length))


def _level(value: float, most: int) -> int:
    return min(most, max(0, math.floor(most * value + 0.5)))
