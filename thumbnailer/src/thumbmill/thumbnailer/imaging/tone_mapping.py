"""From what an encoding means to sRGB, pixel by pixel; HDR is brought down to what a page's white leaves room for.

The tone curve is the one of SMPTE ST 2094-50 for pictures that bring none (reference white tone mapping), as
Chromium applies it: half of the light up to white, then a curve up to the picture's peak. All colours of a pixel
are scaled alike, so hues stay.

To be done to small pictures: it costs 40 ns a pixel. Only additions, products, roots and tables are used, which
come to the same bytes on every processor.
"""

from functools import cache
from typing import Any

import numpy as np
from PIL import Image

from thumbmill.thumbnailer.imaging.colour_encodings import (
    BT709,
    BT2020,
    HDR_PEAK,
    HDR_WHITE,
    ColourEncoding,
    Rows,
    convert_primaries,
    encode_srgb,
    luminance_weights,
)

_STRIP = 65536  # pixels at once, so that the intermediate numbers stay in the processor's cache
_STEPS = 16384  # of light: a fifth of a level where sRGB is steepest
_HLG_GAMMA = 1.2  # a display's, at 1000 cd/m2 (ITU-R BT.2100, table 5)
_BEND = 0.65  # of the tone curve, 0 to 1: how far its middle lies from a straight line
_DARK = 1e-6

Plane = Any  # of a strip's pixels, as numbers of 32 bits


def apply_encoding(image: Image.Image, encoding: ColourEncoding) -> Image.Image:
    """Give a picture of 8 bits a channel, with or without alpha, as sRGB."""
    pixels = np.asarray(image.convert("RGB"))
    shown = np.empty_like(pixels)
    rows = max(1, _STRIP // image.width)
    curve = np.array(encoding.curve, np.float32)
    for top in range(0, image.height, rows):
        strip = pixels[top : top + rows]
        planes = [curve[strip[:, :, channel]] for channel in range(3)]
        for channel, plane in enumerate(_to_srgb_light(planes, encoding)):
            steps = np.clip(plane, 0, 1) * np.float32(_STEPS - 1) + np.float32(0.5)
            shown[top : top + rows, :, channel] = _levels()[steps.astype(np.uint16)]
    converted = Image.fromarray(shown)
    if image.mode.endswith("A"):
        converted.putalpha(image.getchannel("A"))
    converted.info = {**image.info}
    return converted


def _to_srgb_light(planes: list[Plane], encoding: ColourEncoding) -> list[Plane]:
    if encoding.peak is None:
        return _mix(planes, convert_primaries(encoding.primaries, BT709))
    if encoding.is_scene:
        planes = _display(planes, luminance_weights(encoding.primaries))
    planes = _mix(planes, convert_primaries(encoding.primaries, BT2020))
    brightest = np.maximum(np.maximum(planes[0], planes[1]), np.maximum(planes[2], np.float32(_DARK)))
    gain = map_tone(brightest, encoding.peak) / brightest
    return _mix([plane * gain for plane in planes], convert_primaries(BT2020, BT709))


def map_tone(light: Plane, peak: float) -> Plane:
    """Bring light of up to ``peak`` times white to 1: a line up to white, then a quadratic Bézier curve."""
    headroom = min(1.0, float(np.log2(peak)) / float(np.log2(HDR_PEAK / HDR_WHITE)))
    white = 1 - headroom / 2  # to which white is brought
    if peak <= 1:
        return np.minimum(light, np.float32(1))
    middle_x, middle_y = (1 - _BEND) + _BEND / white, (1 - _BEND) * white + _BEND
    a_x, b_x = 1 - 2 * middle_x + peak, 2 * (middle_x - 1)
    a_y, b_y = white - 2 * middle_y + 1, 2 * (middle_y - white)
    beyond = np.clip(light, 1, np.float32(peak)) - np.float32(1)
    way = 2 * beyond / np.maximum(b_x + np.sqrt(np.float32(b_x**2) + np.float32(4 * a_x) * beyond), _DARK)
    curved = (np.float32(a_y) * way + np.float32(b_y)) * way + np.float32(white)
    return np.where(light <= 1, light * np.float32(white), curved)


def _display(planes: list[Plane], weights: tuple[float, ...]) -> list[Plane]:
    """Bring HLG's light of a scene to a display's of 1000 cd/m2."""
    (luminance,) = _mix(planes, (weights,))
    gain = _powers()[(np.clip(luminance, 0, 1) * np.float32(_STEPS - 1) + np.float32(0.5)).astype(np.uint16)]
    return [plane * gain for plane in planes]


def _mix(planes: list[Plane], rows: Rows) -> list[Plane]:
    red, green, blue = planes
    return [red * np.float32(r) + green * np.float32(g) + blue * np.float32(b) for r, g, b in rows]


@cache
def _levels() -> Plane:
    """Give sRGB's level of each step of light."""
    return np.array([round(255 * encode_srgb(step / (_STEPS - 1))) for step in range(_STEPS)], np.uint8)


@cache
def _powers() -> Plane:
    """Give what a display makes a scene brighter by, for each step of luminance."""
    steps = (max(step, 0.25) / (_STEPS - 1) for step in range(_STEPS))
    return np.array([HDR_PEAK / HDR_WHITE * step ** (_HLG_GAMMA - 1) for step in steps], np.float32)
