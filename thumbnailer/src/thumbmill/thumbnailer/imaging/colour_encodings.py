"""How levels become light where no ICC profile says it: by code points (ITU-T H.273), or by PNG's gAMA and cHRM.

Which curve a code point stands for, and which are ignored, is as Chromium 156 has it; docs/facts.md has the
measurements. Light is relative: 1 is the white of a page, which HDR puts at 203 cd/m2 (ITU-R BT.2408, 2.1).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Chromaticities = tuple[float, float, float, float, float, float, float, float]  # x, y of red, green, blue, white
Rows = tuple[tuple[float, ...], ...]  # of a matrix

LEVELS = 256
HDR_WHITE = 203.0  # cd/m2
HDR_PEAK = 1000.0  # cd/m2, where the file does not say how bright it gets
_PQ_PEAK = 10_000.0  # cd/m2
_SRGB_PRIMARIES, _SRGB_TRANSFER = 1, 13
_D65 = (0.3127, 0.3290)
_ILLUMINANT_C = (0.310, 0.316)
BT709: Chromaticities = (0.640, 0.330, 0.300, 0.600, 0.150, 0.060, *_D65)
BT2020: Chromaticities = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65)
_P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
_SMPTE_170M: Chromaticities = (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65)

# ITU-T H.273, table 2
_PRIMARIES: dict[int, tuple[str, Chromaticities]] = {
    1: ("BT.709", BT709),
    4: ("BT.470 M", (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, *_ILLUMINANT_C)),
    5: ("BT.601 625", (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *_D65)),
    6: ("BT.601 525", _SMPTE_170M),
    7: ("SMPTE 240M", _SMPTE_170M),
    8: ("film", (0.681, 0.319, 0.243, 0.692, 0.145, 0.049, *_ILLUMINANT_C)),
    9: ("BT.2020", BT2020),
    10: ("XYZ", (1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1 / 3, 1 / 3)),
    11: ("DCI-P3", (*_P3, 0.314, 0.351)),
    12: ("Display P3", (*_P3, *_D65)),
    22: ("EBU 3213", (0.630, 0.340, 0.295, 0.605, 0.155, 0.077, *_D65)),
}
_BRADFORD: Rows = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))


@dataclass(frozen=True)
class ColourEncoding:
    """What the levels 0 to 255 of red, green and blue mean."""

    name: str
    primaries: Chromaticities
    curve: tuple[float, ...]  # the light of each level, 1 being white
    peak: float | None = None  # the brightest of an HDR picture, likewise
    is_scene: bool = False  # HLG: the light is the scene's, and a display's gamma is still to come

    @property
    def is_srgb(self) -> bool:
        """Tell whether nothing has to be changed."""
        return self.primaries == BT709 and self.curve == SRGB_EOTF


def decode_srgb(level: float) -> float:
    """Give the light of a level of 0 to 1. IEC 61966-2-1."""
    return level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4


def encode_srgb(light: float) -> float:
    """Give the level, 0 to 1, of a light."""
    return light * 12.92 if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


def from_cicp(primaries: int, transfer: int, peak: float = 0) -> ColourEncoding | None:
    """Read what a PNG's cICP says; None where it says nothing. ``peak`` in cd/m2, 0 for unknown."""
    if primaries not in _PRIMARIES or transfer not in _TRANSFERS:
        return None
    return _encode(_name(primaries, transfer), primaries, transfer, peak)


def from_nclx(primaries: int, transfer: int, peak: float = 0) -> ColourEncoding:
    """Read what HEIF and AVIF say, where BT.709's curve and all that is unknown pass for sRGB's."""
    primaries = primaries if primaries in _PRIMARIES else _SRGB_PRIMARIES
    transfer = transfer if transfer in _TRANSFERS else _SRGB_TRANSFER
    curve = _SRGB_TRANSFER if transfer in _BT709_LIKE else transfer
    return _encode(_name(primaries, transfer), primaries, curve, peak)


def _encode(name: str, primaries: int, transfer: int, peak: float) -> ColourEncoding:
    chromaticities, curve = _PRIMARIES[primaries][1], _tabulate(_TRANSFERS[transfer][1])
    if transfer not in {_PQ, _HLG}:
        return ColourEncoding(name, chromaticities, curve)
    bright = max(peak or HDR_PEAK, HDR_WHITE) / HDR_WHITE
    return ColourEncoding(name, chromaticities, curve, bright, is_scene=transfer == _HLG)


def from_gamma(gamma: float, chromaticities: Chromaticities | None) -> ColourEncoding | None:
    """Read a PNG's gAMA, the exponent of the levels as written, and its cHRM; None for what can't be meant.

    Without cHRM, what is near sRGB's curve is taken for it, as writers meant it.
    """
    if gamma <= 0 or (chromaticities is not None and not _is_triangle(chromaticities)):
        return None
    if chromaticities is None and abs(gamma * 2.2 - 1) <= _GAMMA_TOLERANCE:
        return ColourEncoding("sRGB", BT709, SRGB_EOTF)
    curve = tuple((level / (LEVELS - 1)) ** (1 / gamma) for level in range(LEVELS))
    of_whom = "" if chromaticities is None else _name_chromaticities(chromaticities) + " "
    what = "linear" if gamma == 1 else f"gamma {1 / gamma:.2g}"
    return ColourEncoding(of_whom + what, chromaticities or BT709, curve)


def _name_chromaticities(chromaticities: Chromaticities) -> str:
    """Name them as H.273 does if they are the same to three digits."""
    for name, known in _PRIMARIES.values():
        if all(abs(one - other) < 0.0011 for one, other in zip(known, chromaticities, strict=True)):
            return name
    return "cHRM"


def _is_triangle(chromaticities: Chromaticities) -> bool:
    """Tell whether white lies within a triangle of red, green and blue, and none of them nowhere."""
    points = [complex(*chromaticities[at : at + 2]) for at in (0, 2, 4, 6)]
    if any(not (0 <= point.real <= 1 and 0 <= point.imag <= 1) for point in points) or not points[3].imag:
        return False
    edges = [(points[at], points[(at + 1) % 3] - points[at]) for at in range(3)]
    sides = [((points[3] - start).conjugate() * edge).imag for start, edge in edges]
    return all(side < -_FLAT for side in sides) or all(side > _FLAT for side in sides)


def _name(primaries: int, transfer: int) -> str:
    """Name a pair as people do: after the primaries, and the curve where it is not the usual one with them."""
    if transfer == _SRGB_TRANSFER and primaries == _SRGB_PRIMARIES:
        return "sRGB"
    name, curve = _PRIMARIES[primaries][0], _TRANSFERS[transfer][0]
    usual = "sRGB" if primaries == _DISPLAY_P3 else "BT.709"
    return name if curve == usual else f"{name} {curve}"


# --- matrices --------------------------------------------------------------------------------------------------


def convert_primaries(source: Chromaticities, target: Chromaticities) -> Rows:
    """Give the matrix from one RGB to another; white stays white, by Bradford's adaptation."""
    return _product(_inverse(_to_xyz(target)), _product(_adapt(source[6:], target[6:]), _to_xyz(source)))


def luminance_weights(primaries: Chromaticities) -> tuple[float, ...]:
    """Give how much red, green and blue add to a colour's luminance."""
    return _to_xyz(primaries)[1]


def _to_xyz(primaries: Chromaticities) -> Rows:
    x_r, y_r, x_g, y_g, x_b, y_b, x_w, y_w = primaries
    columns = ((x_r, x_g, x_b), (y_r, y_g, y_b), (1 - x_r - y_r, 1 - x_g - y_g, 1 - x_b - y_b))
    amounts = _apply(_inverse(columns), (x_w / y_w, 1.0, (1 - x_w - y_w) / y_w))
    return tuple(tuple(value * amount for value, amount in zip(row, amounts, strict=True)) for row in columns)


def _adapt(source: Sequence[float], target: Sequence[float]) -> Rows:
    """Give the matrix that takes one white's XYZ to another's."""
    (x, y), (x2, y2) = source, target
    before = _apply(_BRADFORD, (x / y, 1.0, (1 - x - y) / y))
    after = _apply(_BRADFORD, (x2 / y2, 1.0, (1 - x2 - y2) / y2))
    gains = tuple(tuple(after[n] / before[n] * (n == m) for m in range(3)) for n in range(3))
    return _product(_inverse(_BRADFORD), _product(gains, _BRADFORD))


def _apply(rows: Rows, vector: Sequence[float]) -> tuple[float, ...]:
    return tuple(sum(a * b for a, b in zip(row, vector, strict=True)) for row in rows)


def _product(left: Rows, right: Rows) -> Rows:
    columns = tuple(zip(*right, strict=True))
    return tuple(_apply(columns, row) for row in left)


def _inverse(rows: Rows) -> Rows:
    (a, b, c), (d, e, f), (g, h, i) = rows
    cofactors = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    determinant = a * cofactors[0][0] + b * cofactors[1][0] + c * cofactors[2][0]
    return tuple(tuple(value / determinant for value in row) for row in cofactors)


# --- curves (ITU-T H.273, table 3): from a level of 0 to 1 to light ---------------------------------------------


def _decode_bt709(level: float) -> float:
    """Give what a display makes of video (ITU-R BT.1886): it is meant to differ from what the camera saw."""
    return math.pow(level, 2.4)


def _decode_smpte_240m(level: float) -> float:
    return level / 4 if level < 0.0912 else ((level + 0.1115) / 1.1115) ** (1 / 0.45)


def _decode_pq(level: float) -> float:
    """SMPTE ST 2084."""
    power = math.pow(level, 32 / 2523)
    light = math.pow(max(0, power - 107 / 128) / (2413 / 128 - 2392 / 128 * power), 16384 / 2610)
    return light * _PQ_PEAK / HDR_WHITE


def _decode_hlg(level: float) -> float:
    """ITU-R BT.2100, table 5: the scene's light, 0 to 1."""
    if level <= 0.5:
        return level * level / 3
    a = 0.17883277
    b = 1 - 4 * a
    return (math.exp((level - (0.5 - a * math.log(4 * a))) / a) + b) / 12


_PQ, _HLG, _DISPLAY_P3 = 16, 18, 12
_BT709_LIKE = {1, 6, 11, 14, 15}
_GAMMA_TOLERANCE = 0.05
_FLAT = 1e-4  # a triangle's area below which no colour can be told from another
_TRANSFERS: dict[int, tuple[str, Callable[[float], float]]] = {
    **dict.fromkeys(_BT709_LIKE, ("BT.709", _decode_bt709)),
    4: ("gamma 2.2", lambda level: level**2.2),
    5: ("gamma 2.8", lambda level: level**2.8),
    7: ("SMPTE 240M", _decode_smpte_240m),
    8: ("linear", lambda level: level),
    _SRGB_TRANSFER: ("sRGB", decode_srgb),
    _PQ: ("PQ", _decode_pq),
    17: ("SMPTE 428", lambda level: 52.37 / 48 * level**2.6),
    _HLG: ("HLG", _decode_hlg),
}


def _tabulate(decode: Callable[[float], float]) -> tuple[float, ...]:
    return tuple(decode(level / (LEVELS - 1)) for level in range(LEVELS))


SRGB_EOTF = _tabulate(decode_srgb)
