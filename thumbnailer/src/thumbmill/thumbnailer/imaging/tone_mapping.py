"""Conversion from a colour encoding to sRGB, with tone mapping for HDR.

The tone curve is the reference white tone mapping of SMPTE ST 2094-50 for images without metadata of their own, as
Chromium applies it: up to the reference white it halves the light, above it a curve leads to the peak of the image.
It scales the channels of a pixel equally, which preserves the hue.

Apply it to small images: it costs 40 ns a pixel. It uses only additions, multiplications, square roots and lookup
tables, so that the bytes are the same on every processor.
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
    Matrix,
    convert_primaries,
    encode_srgb,
    luminance_weights,
)

_STRIP_PIXELS = 65536  # processed at once: the intermediate values stay in the processor's cache
_STEPS = 16384  # of light: one is a fifth of a level where sRGB is steepest
_HLG_GAMMA = 1.2  # system gamma of a display of 1000 cd/m2 (ITU-R BT.2100, table 5)
_CURVATURE = 0.65  # of the tone curve, 0 to 1: how far its control point lies from a straight line
_MIN_LIGHT = 1e-6  # avoids a division by zero

Plane = Any  # one channel of a strip, as float32


def apply_encoding(image: Image.Image, encoding: ColourEncoding) -> Image.Image:
    """Convert an image of 8 bits a channel, with or without alpha, to sRGB."""
    pixels = np.asarray(image.convert("RGB"))
    output = np.empty_like(pixels)
    rows = max(1, _STRIP_PIXELS // image.width)
    eotf = np.array(encoding.eotf, np.float32)
    for top in range(0, image.height, rows):
        strip = pixels[top : top + rows]
        planes = [eotf[strip[:, :, channel]] for channel in range(3)]
        for channel, plane in enumerate(_to_srgb_light(planes, encoding)):
            steps = np.clip(plane, 0, 1) * np.float32(_STEPS - 1) + np.float32(0.5)
            output[top : top + rows, :, channel] = _srgb_levels()[steps.astype(np.uint16)]
    converted = Image.fromarray(output)
    if image.mode.endswith("A"):
        converted.putalpha(image.getchannel("A"))
    converted.info = {**image.info}
    return converted


def _to_srgb_light(planes: list[Plane], encoding: ColourEncoding) -> list[Plane]:
    if encoding.peak is None:
        return _multiply(planes, convert_primaries(encoding.primaries, BT709))
    if encoding.is_scene_referred:
        planes = _apply_hlg_ootf(planes, luminance_weights(encoding.primaries))
    planes = _multiply(planes, convert_primaries(encoding.primaries, BT2020))
    brightest = np.maximum(np.maximum(planes[0], planes[1]), np.maximum(planes[2], np.float32(_MIN_LIGHT)))
    gain = map_tone(brightest, encoding.peak) / brightest
    return _multiply([plane * gain for plane in planes], convert_primaries(BT2020, BT709))


def map_tone(light: Plane, peak: float) -> Plane:
    """Map light from 0 to ``peak`` times white to 0 to 1: a line up to white, then a quadratic Bézier curve."""
    headroom = min(1.0, float(np.log2(peak)) / float(np.log2(HDR_PEAK / HDR_WHITE)))
    white = 1 - headroom / 2  # the output for white
    if peak <= 1:
        return np.minimum(light, np.float32(1))
    control_x, control_y = (1 - _CURVATURE) + _CURVATURE / white, (1 - _CURVATURE) * white + _CURVATURE
    a_x, b_x = 1 - 2 * control_x + peak, 2 * (control_x - 1)
    a_y, b_y = white - 2 * control_y + 1, 2 * (control_y - white)
    above_white = np.clip(light, 1, np.float32(peak)) - np.float32(1)
    root = np.sqrt(np.float32(b_x**2) + np.float32(4 * a_x) * above_white)
    t = 2 * above_white / np.maximum(b_x + root, _MIN_LIGHT)  # the curve's parameter, 0 to 1
    curve = (np.float32(a_y) * t + np.float32(b_y)) * t + np.float32(white)
    return np.where(light <= 1, light * np.float32(white), curve)


def _apply_hlg_ootf(planes: list[Plane], weights: tuple[float, ...]) -> list[Plane]:
    """Convert the light of HLG's scene to that of a display of 1000 cd/m2."""
    (luminance,) = _multiply(planes, (weights,))
    steps = np.clip(luminance, 0, 1) * np.float32(_STEPS - 1) + np.float32(0.5)
    gain = _hlg_gains()[steps.astype(np.uint16)]
    return [plane * gain for plane in planes]


def _multiply(planes: list[Plane], matrix: Matrix) -> list[Plane]:
    red, green, blue = planes
    return [red * np.float32(r) + green * np.float32(g) + blue * np.float32(b) for r, g, b in matrix]


@cache
def _srgb_levels() -> Plane:
    """Return the sRGB level of each step of light."""
    return np.array([round(255 * encode_srgb(step / (_STEPS - 1))) for step in range(_STEPS)], np.uint8)


@cache
def _hlg_gains() -> Plane:
    """Return the gain of a display for each step of the scene's luminance."""
    steps = (max(step, 0.25) / (_STEPS - 1) for step in range(_STEPS))
    return np.array([HDR_PEAK / HDR_WHITE * step ** (_HLG_GAMMA - 1) for step in steps], np.float32)
