"""Colour encodings without an ICC profile: code points (ITU-T H.273), and gAMA and cHRM of PNG.

The transfer function of each code point, and which code points are ignored, follow Chromium 156; docs/facts.md has
the measurements. Light is relative: 1 is the white of a page, for which HDR uses 203 cd/m2 (ITU-R BT.2408, 2.1).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Chromaticities = tuple[float, float, float, float, float, float, float, float]  # x, y of red, green, blue, white
Matrix = tuple[tuple[float, ...], ...]  # rows

LEVELS = 256
HDR_WHITE = 203.0  # cd/m2
HDR_PEAK = 1000.0  # cd/m2, for files that do not declare their peak luminance
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
_BRADFORD: Matrix = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))


@dataclass(frozen=True)
class ColourEncoding:
    """The primaries and the transfer function of 8-bit RGB levels."""

    name: str
    primaries: Chromaticities
    eotf: tuple[float, ...]  # the light of each level; 1 is white
    peak: float | None = None  # the peak luminance of an HDR image; 1 is white
    is_scene_referred: bool = False  # HLG: the light is the scene's, to which a display's OOTF is applied

    @property
    def is_srgb(self) -> bool:
        """Return whether the levels are those of sRGB already."""
        return self.primaries == BT709 and self.eotf == SRGB_EOTF


def decode_srgb(level: float) -> float:
    """Return the light of a level from 0 to 1 (IEC 61966-2-1)."""
    return level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4


def encode_srgb(light: float) -> float:
    """Return the level, from 0 to 1, of a light."""
    return light * 12.92 if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


def from_cicp(primaries: int, transfer: int, peak: float = 0) -> ColourEncoding | None:
    """Return the encoding of a PNG's cICP, or None for unknown code points. ``peak``: cd/m2, 0 for unknown."""
    if primaries not in _PRIMARIES or transfer not in _TRANSFERS:
        return None
    return _build_encoding(_name(primaries, transfer), primaries, transfer, peak)


def from_nclx(primaries: int, transfer: int, peak: float = 0) -> ColourEncoding:
    """Return the encoding of HEIF and AVIF. BT.709's transfer function and unknown code points count as sRGB."""
    primaries = primaries if primaries in _PRIMARIES else _SRGB_PRIMARIES
    transfer = transfer if transfer in _TRANSFERS else _SRGB_TRANSFER
    applied = _SRGB_TRANSFER if transfer in _BT709_LIKE else transfer
    return _build_encoding(_name(primaries, transfer), primaries, applied, peak)


def _build_encoding(name: str, primaries: int, transfer: int, peak: float) -> ColourEncoding:
    chromaticities, eotf = _PRIMARIES[primaries][1], _tabulate(_TRANSFERS[transfer][1])
    if transfer not in {_PQ, _HLG}:
        return ColourEncoding(name, chromaticities, eotf)
    relative_peak = max(peak or HDR_PEAK, HDR_WHITE) / HDR_WHITE
    return ColourEncoding(name, chromaticities, eotf, relative_peak, is_scene_referred=transfer == _HLG)


def from_gamma(gamma: float, chromaticities: Chromaticities | None) -> ColourEncoding | None:
    """Return the encoding of a PNG's gAMA, the encoding exponent, and its cHRM. None for impossible values.

    Without cHRM, a gamma close to that of sRGB counts as sRGB, because that is what writers mean by it.
    """
    if gamma <= 0 or (chromaticities is not None and not _is_triangle(chromaticities)):
        return None
    if chromaticities is None and abs(gamma * 2.2 - 1) <= _GAMMA_TOLERANCE:
        return ColourEncoding("sRGB", BT709, SRGB_EOTF)
    eotf = tuple((level / (LEVELS - 1)) ** (1 / gamma) for level in range(LEVELS))
    primaries_name = "" if chromaticities is None else _name_chromaticities(chromaticities) + " "
    transfer_name = "linear" if gamma == 1 else f"gamma {1 / gamma:.2g}"
    return ColourEncoding(primaries_name + transfer_name, chromaticities or BT709, eotf)


def _name_chromaticities(chromaticities: Chromaticities) -> str:
    """Return the name of H.273 for chromaticities that are equal to three digits, else ``cHRM``."""
    for name, known in _PRIMARIES.values():
        if all(abs(one - other) < 0.0011 for one, other in zip(known, chromaticities, strict=True)):
            return name
    return "cHRM"


def _is_triangle(chromaticities: Chromaticities) -> bool:
    """Return whether all coordinates are possible, and white lies within the triangle of red, green and blue."""
    points = [complex(*chromaticities[index : index + 2]) for index in (0, 2, 4, 6)]
    if any(not (0 <= point.real <= 1 and 0 <= point.imag <= 1) for point in points) or not points[3].imag:
        return False
    edges = [(points[index], points[(index + 1) % 3] - points[index]) for index in range(3)]
    sides = [((points[3] - start).conjugate() * edge).imag for start, edge in edges]
    return all(side < -_MIN_AREA for side in sides) or all(side > _MIN_AREA for side in sides)


def _name(primaries: int, transfer: int) -> str:
    """Name a pair after its primaries, and after its transfer function if that is not the usual one with them."""
    if transfer == _SRGB_TRANSFER and primaries == _SRGB_PRIMARIES:
        return "sRGB"
    primaries_name, transfer_name = _PRIMARIES[primaries][0], _TRANSFERS[transfer][0]
    usual = "sRGB" if primaries == _DISPLAY_P3 else "BT.709"
    return primaries_name if transfer_name == usual else f"{primaries_name} {transfer_name}"


# --- matrices --------------------------------------------------------------------------------------------------


def convert_primaries(source: Chromaticities, target: Chromaticities) -> Matrix:
    """Return the matrix from one linear RGB to another, with Bradford's chromatic adaptation: white stays white."""
    adapted = _multiply(_adapt_white(source[6:], target[6:]), _rgb_to_xyz(source))
    return _multiply(_invert(_rgb_to_xyz(target)), adapted)


def luminance_weights(primaries: Chromaticities) -> tuple[float, ...]:
    """Return the contributions of red, green and blue to the luminance of a colour."""
    return _rgb_to_xyz(primaries)[1]


def _rgb_to_xyz(primaries: Chromaticities) -> Matrix:
    x_r, y_r, x_g, y_g, x_b, y_b, x_w, y_w = primaries
    columns = ((x_r, x_g, x_b), (y_r, y_g, y_b), (1 - x_r - y_r, 1 - x_g - y_g, 1 - x_b - y_b))
    amounts = _apply(_invert(columns), (x_w / y_w, 1.0, (1 - x_w - y_w) / y_w))
    return tuple(tuple(value * amount for value, amount in zip(row, amounts, strict=True)) for row in columns)


def _adapt_white(source: Sequence[float], target: Sequence[float]) -> Matrix:
    """Return the matrix that maps the XYZ of one white point to that of another."""
    (x, y), (x2, y2) = source, target
    before = _apply(_BRADFORD, (x / y, 1.0, (1 - x - y) / y))
    after = _apply(_BRADFORD, (x2 / y2, 1.0, (1 - x2 - y2) / y2))
    gains = tuple(tuple(after[n] / before[n] * (n == m) for m in range(3)) for n in range(3))
    return _multiply(_invert(_BRADFORD), _multiply(gains, _BRADFORD))


def _apply(matrix: Matrix, vector: Sequence[float]) -> tuple[float, ...]:
    return tuple(sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)


def _multiply(left: Matrix, right: Matrix) -> Matrix:
    columns = tuple(zip(*right, strict=True))
    return tuple(_apply(columns, row) for row in left)


def _invert(matrix: Matrix) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    cofactors = (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )
    determinant = a * cofactors[0][0] + b * cofactors[1][0] + c * cofactors[2][0]
    return tuple(tuple(value / determinant for value in row) for row in cofactors)


# --- transfer functions (ITU-T H.273, table 3): from a level of 0 to 1 to light ---------------------------------


def _decode_bt709(level: float) -> float:
    """Return the light that a display makes of video (ITU-R BT.1886), which differs from that of the scene."""
    return math.pow(level, 2.4)


def _decode_smpte_240m(level: float) -> float:
    return level / 4 if level < 0.0912 else ((level + 0.1115) / 1.1115) ** (1 / 0.45)


def _decode_pq(level: float) -> float:
    """Return the light of a level of PQ (SMPTE ST 2084)."""
    power = math.pow(level, 32 / 2523)
    light = math.pow(max(0, power - 107 / 128) / (2413 / 128 - 2392 / 128 * power), 16384 / 2610)
    return light * _PQ_PEAK / HDR_WHITE


def _decode_hlg(level: float) -> float:
    """Return the light of the scene, from 0 to 1, of a level of HLG (ITU-R BT.2100, table 5)."""
    if level <= 0.5:
        return level * level / 3
    a = 0.17883277
    b = 1 - 4 * a
    return (math.exp((level - (0.5 - a * math.log(4 * a))) / a) + b) / 12


_PQ, _HLG, _DISPLAY_P3 = 16, 18, 12
_BT709_LIKE = {1, 6, 11, 14, 15}
_GAMMA_TOLERANCE = 0.05
_MIN_AREA = 1e-4  # of a triangle of primaries; in a smaller one all colours look the same
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
