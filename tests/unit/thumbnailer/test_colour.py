"""ICC profiles: colours are converted to sRGB. The expected pixels are computed."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.support.images import opened
from tests.support.profiles import (
    ADOBE_GAMMA,
    ADOBE_RGB,
    DISPLAY_P3,
    SRGB,
    cmyk_profile,
    gray_profile,
    rgb_profile,
)
from tests.unit.thumbnailer.options import make_options
from thumbmill.thumbnailer.imaging import colour
from thumbmill.thumbnailer.imaging.pipeline import process_image

# From XYZ under D50 to linear sRGB: the inverse of SRGB above, as Lindbloom gives it.
FROM_XYZ = ((3.13386, -1.61687, -0.49061), (-0.97877, 1.91614, 0.03345), (0.07195, -0.22899, 1.40524))
CLEAR_RED, MUTED = (200, 60, 60), (90, 140, 110)


def thumbnail_of(colour, profile, mode="RGB", kind="PNG", size=(300, 200)):
    file = io.BytesIO()
    Image.new(mode, size, colour).save(file, kind, icc_profile=profile)
    (variant,) = process_image(file.getvalue(), make_options()).variants
    image = opened(variant.data)
    assert "icc_profile" not in image.info
    return image


def shown(*args, **options):
    return thumbnail_of(*args, **options).getpixel((100, 80))


def encode_srgb(linear):
    value = 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
    return 255 * min(1, max(0, value))


def decode_srgb(level):
    value = level / 255
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def expected_srgb(colour, primaries, gamma=None):
    linear = [(level / 255) ** gamma if gamma else decode_srgb(level) for level in colour]
    xyz = [sum(linear[n] * primaries[n][row] for n in range(3)) for row in range(3)]
    return tuple(encode_srgb(sum(a * b for a, b in zip(row, xyz, strict=True))) for row in FROM_XYZ)


@pytest.mark.parametrize("colour", [CLEAR_RED, MUTED, (250, 250, 250), (0, 0, 0)])
@pytest.mark.parametrize(("primaries", "gamma"), [(DISPLAY_P3, None), (ADOBE_RGB, ADOBE_GAMMA)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_wide_gamut_colours_become_srgb(colour, primaries, gamma, kind):
    expected = expected_srgb(colour, primaries, gamma)
    assert shown(colour, rgb_profile(primaries, gamma), kind=kind) == pytest.approx(expected, abs=6)


def test_a_wide_gamut_profile_changes_colours():
    assert expected_srgb(CLEAR_RED, ADOBE_RGB, ADOBE_GAMMA)[0] > CLEAR_RED[0] + 25


def test_conversion_to_srgb_keeps_alpha():
    image = thumbnail_of((*CLEAR_RED, 128), rgb_profile(ADOBE_RGB, ADOBE_GAMMA), "RGBA")
    *colour, alpha = image.getpixel((100, 80))
    assert alpha == 128
    assert colour == pytest.approx(expected_srgb(CLEAR_RED, ADOBE_RGB, ADOBE_GAMMA), abs=6)


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_a_grey_profile_is_applied(mode):
    expected = encode_srgb((100 / 255) ** 1.0)
    colour = 100 if mode == "L" else (100, 128)
    assert shown(colour, gray_profile(1.0), mode)[:3] == pytest.approx((expected,) * 3, abs=4)


def test_a_grey_image_may_have_an_rgb_profile():
    assert shown(100, rgb_profile(SRGB, 1.0), "L") == pytest.approx((encode_srgb(100 / 255),) * 3, abs=4)


def test_a_profile_applies_to_palette_images():
    file = io.BytesIO()
    result = Image.new("P", (300, 200), 0)
    result.putpalette(CLEAR_RED)
    result.save(file, "PNG", icc_profile=rgb_profile(ADOBE_RGB, ADOBE_GAMMA))
    (variant,) = process_image(file.getvalue(), make_options()).variants
    expected = expected_srgb(CLEAR_RED, ADOBE_RGB, ADOBE_GAMMA)
    assert opened(variant.data).getpixel((9, 9)) == pytest.approx(expected, abs=6)


def simulate_press(cyan, magenta, yellow, black):
    """Return the Lab colour of a press whose cyan is a dull blue, and whose other inks only darken."""
    return (0 if black else 55, -30, -45) if cyan else (100 - 30 * (magenta + yellow) if not black else 0, 0, 0)


def test_a_cmyk_profile_is_applied():
    assert shown((255, 0, 0, 0), None, "CMYK", "JPEG") == pytest.approx((0, 255, 255), abs=4)
    red, green, blue = shown((255, 0, 0, 0), cmyk_profile(simulate_press), "CMYK", "JPEG")
    assert red < 20
    assert 120 < green < 170
    assert 180 < blue < 240
    assert shown((0, 0, 0, 0), cmyk_profile(simulate_press), "CMYK", "JPEG") == pytest.approx(
        (255, 255, 255), abs=4
    )
    assert shown((0, 0, 0, 255), cmyk_profile(simulate_press), "CMYK", "JPEG") == pytest.approx((0, 0, 0), abs=8)


@pytest.mark.parametrize(
    "profile",
    [
        b"",
        b"no profile at all",
        bytes(128),
        rgb_profile(ADOBE_RGB, ADOBE_GAMMA)[:200],
        rgb_profile(ADOBE_RGB, ADOBE_GAMMA)[:128] + b"\xff" * 300,
        gray_profile(1.0),
        cmyk_profile(simulate_press),
        rgb_profile(ADOBE_RGB, ADOBE_GAMMA) + bytes(5 * 2**20),
    ],
    ids=["empty", "text", "zeros", "truncated", "garbled", "grey", "CMYK", "too large"],
)
def test_an_unusable_profile_is_ignored(profile):
    assert shown(MUTED, profile, kind="JPEG") == pytest.approx(MUTED, abs=4)


GOOD = rgb_profile(ADOBE_RGB, ADOBE_GAMMA)


@given(st.binary(max_size=40), st.integers(0, len(GOOD)))
def test_a_damaged_profile_does_not_fail_an_image(garbage, where):
    image = Image.new("RGB", (9, 9), MUTED)
    image.info["icc_profile"] = GOOD[:where] + garbage + GOOD[where + len(garbage) :]
    assert colour.convert_to_srgb(image).size == (9, 9)


def test_a_profile_close_to_srgb_costs_no_transform():
    image = Image.new("RGB", (9, 9), MUTED)
    image.info["icc_profile"] = rgb_profile(SRGB)
    assert colour.convert_to_srgb(image) is image


def test_a_rotated_image_keeps_its_profile():
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (300, 200), MUTED).save(file, "JPEG", exif=exif, icc_profile=GOOD)
    result = process_image(file.getvalue(), make_options())
    assert (result.width, result.height) == (200, 300)
