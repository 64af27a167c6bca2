"""Colour encodings by code points, and by gAMA and cHRM of PNG. Chromium 156 shows the expected values."""

import io
import struct
import zlib

import pytest
from PIL import Image

from tests.support.images import opened
from tests.support.pngs import chunk
from tests.support.profiles import ADOBE_GAMMA, ADOBE_RGB, gray_profile, rgb_profile
from tests.unit.thumbnailer.options import make_options
from thumbmill.thumbnailer.imaging.pipeline import process_image
from thumbmill.thumbnailer.presets.model import Preset

PLAIN = make_options(Preset("plain", width=640, height=640, format="png"))
INPUT = [(40,) * 3, (148,) * 3, (220,) * 3, (148, 0, 0), (0, 148, 0), (0, 0, 148)]
UNCHANGED = INPUT
LINEAR = [(110,) * 3, (200,) * 3, (239,) * 3, (200, 0, 0), (0, 200, 0), (0, 0, 200)]
BT709_IN_PNG = [(28,) * 3, (142,) * 3, (218,) * 3, (142, 0, 0), (0, 142, 0), (0, 0, 142)]
P3 = [*INPUT[:3], (162, 0, 0), (0, 151, 0), (0, 0, 154)]
ADOBE = [(35,) * 3, (149,) * 3, (221,) * 3, (174, 0, 0), (0, 149, 0), (0, 0, 152)]

CODE_POINTS = {  # primaries, transfer
    (1, 13): ("sRGB", UNCHANGED),
    (12, 13): ("Display P3", P3),
    (4, 13): ("BT.470 M sRGB", [*INPUT[:3], (177, 0, 0), (0, 145, 0), (0, 40, 153)]),
    (5, 13): ("BT.601 625 sRGB", [*INPUT[:3], (151, 0, 0), (0, 148, 11), (0, 0, 147)]),
    (6, 13): ("BT.601 525 sRGB", [*INPUT[:3], (144, 16, 0), (32, 146, 0), (10, 15, 148)]),
    (7, 13): ("SMPTE 240M sRGB", [*INPUT[:3], (144, 16, 0), (32, 146, 0), (10, 15, 148)]),
    (8, 13): ("film sRGB", [*INPUT[:3], (169, 0, 0), (0, 152, 0), (0, 0, 153)]),
    (9, 13): ("BT.2020 sRGB", [*INPUT[:3], (186, 0, 0), (0, 157, 0), (0, 0, 156)]),
    (10, 13): ("XYZ sRGB", [*INPUT[:3], (247, 0, 37), (0, 200, 0), (0, 28, 158)]),
    (11, 13): ("DCI-P3 sRGB", [*INPUT[:3], (158, 0, 0), (0, 151, 0), (0, 0, 154)]),
    (22, 13): ("EBU 3213 sRGB", [*INPUT[:3], (150, 17, 0), (0, 144, 0), (1, 25, 148)]),
    (1, 4): ("BT.709 gamma 2.2", [(35,) * 3, (149,) * 3, (221,) * 3, (149, 0, 0), (0, 149, 0), (0, 0, 149)]),
    (1, 5): ("BT.709 gamma 2.8", [(17,) * 3, (129,) * 3, (212,) * 3, (129, 0, 0), (0, 129, 0), (0, 0, 129)]),
    (1, 7): ("BT.709 SMPTE 240M", [(58,) * 3, (159,) * 3, (224,) * 3, (159, 0, 0), (0, 159, 0), (0, 0, 159)]),
    (1, 8): ("BT.709 linear", LINEAR),
    (1, 17): ("BT.709 SMPTE 428", [(23,) * 3, (141,) * 3, (224,) * 3, (141, 0, 0), (0, 141, 0), (0, 0, 141)]),
    (1, 16): ("BT.709 PQ", [(9,) * 3, (187,) * 3, (255,) * 3, (187, 0, 0), (0, 187, 0), (0, 0, 187)]),
    (1, 18): ("BT.709 HLG", [(21,) * 3, (120,) * 3, (224,) * 3, (104, 0, 0), (0, 116, 0), (0, 0, 94)]),
    (9, 16): ("BT.2020 PQ", [(9,) * 3, (187,) * 3, (255,) * 3, (235, 0, 0), (0, 198, 0), (0, 0, 197)]),
}
CODE_POINTS_LIKE_SRGB = {(1, 1): "BT.709", (1, 6): "BT.709", (1, 14): "BT.709", (1, 15): "BT.709"}
UNKNOWN = [(0, 13), (2, 13), (3, 13), (13, 13), (23, 13), (1, 0), (1, 2), (1, 3), (1, 9), (1, 19), (255, 255)]


def patches(mode="RGB"):
    """Return six patches of 16 by 16 pixels."""
    image = Image.new("RGB", (96, 16))
    for number, colour in enumerate(INPUT):
        image.paste(colour, (16 * number, 0, 16 * number + 16, 16))
    return image.convert(mode)


def written(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(*chunks, mode="RGB", image=None):
    data = written(image or patches(mode), "PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def gama(value):
    return chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


def chrm(*values):
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 100_000) for value in values)))


def cicp(primaries, transfer, matrix=0, full_range=1):
    return chunk(b"cICP", bytes((primaries, transfer, matrix, full_range)))


def iccp(profile, *, cut=False):
    packed = zlib.compress(profile)
    return chunk(b"iCCP", b"name\0\0" + packed[: len(packed) // 2 if cut else None])


SRGB_CHUNK, ADOBE_PROFILE = chunk(b"sRGB", b"\0"), rgb_profile(ADOBE_RGB, ADOBE_GAMMA)
WHITE, SRGB_TRIANGLE = (0.3127, 0.329), (0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
ADOBE_TRIANGLE, P3_TRIANGLE = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06), (0.68, 0.32, 0.265, 0.69, 0.15, 0.06)


def nclx(kind, primaries, transfer, **options):
    """Return an AVIF or HEIC whose ``colr`` box has these code points; the pixels are not converted."""
    exact = {"quality": 100, "subsampling": "4:4:4"} if kind == "AVIF" else {"quality": -1, "chroma": 444}
    data = written(patches(), kind, **exact, **options)
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


def shown(data):
    result = process_image(data, PLAIN)
    image = opened(result.variants[0].data)
    return [image.getpixel((16 * number + 8, 8)) for number in range(6)], result.details.colour_space


def is_near(pixels, expected, tolerance):
    return all(
        abs(one - other) <= tolerance
        for pixel, colour in zip(pixels, expected, strict=True)
        for one, other in zip(pixel[:3], colour, strict=True)
    )


@pytest.mark.parametrize("code_points", CODE_POINTS)
def test_the_code_points_of_a_png_are_applied(code_points):
    name, expected = CODE_POINTS[code_points]
    pixels, colour_space = shown(png(cicp(*code_points)))
    assert is_near(pixels, expected, 1), pixels
    assert colour_space == name


@pytest.mark.parametrize("code_points", CODE_POINTS)
def test_the_code_points_of_an_avif_are_applied(code_points):
    name, expected = CODE_POINTS[code_points]
    pixels, colour_space = shown(nclx("AVIF", *code_points))
    # Its pixels are off by one level, which PQ amplifies to four, and a linear transfer function to thirteen.
    assert is_near(pixels, expected, 13 if name.endswith("linear") else 5), pixels
    assert colour_space == name


@pytest.mark.parametrize("code_points", [(12, 13), (9, 16), (1, 18)])
def test_the_code_points_of_a_heic_are_applied(code_points):
    name, expected = CODE_POINTS[code_points]
    pixels, colour_space = shown(nclx("HEIF", *code_points))
    assert is_near(pixels, expected, 8), pixels
    assert colour_space == name


@pytest.mark.parametrize("code_points", CODE_POINTS_LIKE_SRGB)
def test_the_transfer_function_of_video_is_applied_in_a_png_only(code_points):
    pixels, colour_space = shown(png(cicp(*code_points)))
    assert is_near(pixels, BT709_IN_PNG, 1), pixels
    assert colour_space == "BT.709"
    pixels, colour_space = shown(nclx("AVIF", *code_points))
    assert is_near(pixels, UNCHANGED, 2), pixels
    assert colour_space == "BT.709"


@pytest.mark.parametrize("code_points", UNKNOWN)
def test_unknown_code_points_are_ignored(code_points):
    assert shown(png(cicp(*code_points))) == (UNCHANGED, "sRGB")
    assert shown(png(cicp(*code_points), gama(1)))[0] == LINEAR
    pixels, colour_space = shown(nclx("AVIF", *code_points))
    assert is_near(pixels, UNCHANGED, 2)
    assert colour_space == "sRGB"


@pytest.mark.parametrize(
    ("chunks", "grey_220"),
    [
        ([], 255),
        ([chunk(b"cLLI", struct.pack(">II", 40_000_000, 1_000_000))], 247),
        ([chunk(b"mDCV", bytes(16) + struct.pack(">II", 40_000_000, 50))], 247),
        ([chunk(b"mDCV", bytes(16) + struct.pack(">II", 4_000_000, 50)), chunk(b"cLLI", bytes(8))], 255),
    ],
    ids=["unknown", "of the content", "of the display", "0 is unknown"],
)
def test_tone_mapping_depends_on_the_peak_luminance(chunks, grey_220):
    (_, white, bright, *_), _ = shown(png(cicp(9, 16), *chunks))
    assert white[0] == pytest.approx(187 if b"mDCV" not in b"".join(chunks[:-1]) else 229, abs=1)
    assert bright[0] == pytest.approx(grey_220, abs=1)


PRECEDENCE = {
    "gAMA alone": ([gama(1)], LINEAR),
    "gAMA of about sRGB": ([gama(0.45455)], UNCHANGED),
    "gAMA within a twentieth of sRGB": ([gama(0.433)], UNCHANGED),
    "gAMA beyond": ([gama(0.5)], [(43,) * 3, (157,) * 3, (224,) * 3, (157, 0, 0), (0, 157, 0), (0, 0, 157)]),
    "gAMA of zero": ([gama(0)], UNCHANGED),
    "cHRM alone": ([chrm(*WHITE, *ADOBE_TRIANGLE)], UNCHANGED),
    "gAMA and cHRM": ([gama(0.45455), chrm(*WHITE, *ADOBE_TRIANGLE)], ADOBE),
    "linear P3": (
        [gama(1), chrm(*WHITE, *P3_TRIANGLE)],
        [*LINEAR[:3], (219, 0, 0), (0, 204, 0), (0, 0, 209)],
    ),
    "another white": (
        [gama(1), chrm(1 / 3, 1 / 3, 0.7347, 0.2653, 0.2738, 0.7174, 0.1666, 0.0089)],
        [*LINEAR[:3], (221, 0, 0), (0, 224, 0), (79, 0, 213)],
    ),
    "cHRM of zeros": ([gama(1), chrm(*[0] * 8)], UNCHANGED),
    "cHRM beyond all colours": ([gama(1), chrm(2, 2, *SRGB_TRIANGLE)], UNCHANGED),
    "cHRM on a line": ([gama(1), chrm(*WHITE, 0.1, 0.1, 0.2, 0.2, 0.3, 0.3)], UNCHANGED),
    "sRGB before gAMA": ([gama(1), SRGB_CHUNK], UNCHANGED),
    "iCCP before sRGB": ([SRGB_CHUNK, iccp(ADOBE_PROFILE)], ADOBE),
    "iCCP before gAMA": ([iccp(ADOBE_PROFILE), gama(1)], ADOBE),
    "cICP before iCCP": ([iccp(ADOBE_PROFILE), cicp(12, 13)], P3),
    "cICP before sRGB and gAMA": ([SRGB_CHUNK, gama(1), cicp(12, 13)], P3),
    "iCCP cut, so gAMA": ([iccp(ADOBE_PROFILE, cut=True), gama(1)], LINEAR),
    "iCCP cut, so sRGB": ([iccp(ADOBE_PROFILE, cut=True), gama(1), SRGB_CHUNK], UNCHANGED),
    "iCCP of garbage, so gAMA": ([iccp(b"no profile" * 30), gama(1)], LINEAR),
    "iCCP of another colour space": ([iccp(gray_profile(1.0)), gama(1)], UNCHANGED),
    "cICP unknown, so iCCP": ([cicp(2, 2), iccp(ADOBE_PROFILE)], ADOBE),
    "cICP of limited range, so gAMA": ([cicp(12, 13, full_range=0), gama(1)], LINEAR),
    "cICP with a matrix, so gAMA": ([cicp(12, 13, matrix=1), gama(1)], LINEAR),
    "cICP too short, so gAMA": ([chunk(b"cICP", b"\x0c\x0d\0"), gama(1)], LINEAR),
    "the first of two": ([gama(1), gama(0.5)], LINEAR),
}


@pytest.mark.parametrize("name", PRECEDENCE)
def test_the_precedence_of_colour_chunks_in_a_png(name):
    chunks, expected = PRECEDENCE[name]
    pixels, _ = shown(png(*chunks))
    assert is_near(pixels, expected, 1), pixels


def test_colour_chunks_must_precede_the_pixels_and_cicp_the_palette():
    late = written(patches(), "PNG")
    assert shown(late[:-12] + gama(1) + late[-12:])[0] == UNCHANGED
    palette = written(patches().quantize(16), "PNG")
    at = palette.index(b"IDAT") - 4
    assert shown(palette[:at] + gama(1) + palette[at:])[0] == LINEAR
    assert shown(palette[:at] + cicp(1, 8) + palette[at:])[0] == UNCHANGED
    assert shown(palette[:33] + cicp(1, 8) + palette[33:])[0] == LINEAR


def test_an_encoding_applies_to_grey_and_keeps_alpha():
    pixels, colour_space = shown(png(gama(1), mode="L"))
    assert [pixel[0] for pixel in pixels[:3]] == [110, 200, 239]
    assert colour_space == "linear"
    translucent = patches("RGBA")
    translucent.putalpha(200)
    pixels, _ = shown(png(cicp(9, 16), image=translucent))
    assert is_near(pixels, CODE_POINTS[9, 16][1], 1)
    assert {pixel[3] for pixel in pixels} == {200}


def test_a_profile_has_precedence_over_nclx():
    pixels, colour_space = shown(nclx("AVIF", 9, 16, icc_profile=ADOBE_PROFILE))
    assert is_near(pixels, ADOBE, 4), pixels
    assert colour_space == "test"


def test_a_damaged_profile_leaves_nclx_in_effect():
    data = nclx("AVIF", 12, 13, icc_profile=ADOBE_PROFILE)
    pixels, colour_space = shown(data.replace(ADOBE_PROFILE, b"x" * len(ADOBE_PROFILE)))
    assert is_near(pixels, P3, 2)
    assert colour_space == "Display P3"


@pytest.mark.parametrize("full", ["full", "limited"])
def test_the_range_and_alpha_of_an_avif_are_preserved(full):
    image = patches("RGBA")
    image.putalpha(Image.linear_gradient("L").resize((96, 16)))
    data = written(image, "AVIF", quality=100, subsampling="4:4:4", range=full)
    at = data.index(b"colrnclx") + 8
    result = process_image(data[:at] + struct.pack(">HH", 12, 13) + data[at + 4 :], PLAIN)
    made = opened(result.variants[0].data)
    pixels = [made.getpixel((16 * number + 8, 14)) for number in range(6)]
    assert is_near(pixels, P3, 5), pixels
    assert all(abs(made.getpixel((8, y))[3] - image.getpixel((8, y))[3]) <= 2 for y in range(16))


def test_the_code_points_of_an_animated_avif_are_applied():
    frames = [patches(), patches().rotate(180)]
    data = written(frames[0], "AVIF", quality=100, subsampling="4:4:4", save_all=True, append_images=frames[1:])
    found = data.index(b"colrnclx")
    while found >= 0:
        data = data[: found + 8] + struct.pack(">HH", 12, 13) + data[found + 12 :]
        found = data.find(b"colrnclx", found + 1)
    pixels, colour_space = shown(data)
    assert is_near(pixels, P3, 3), pixels
    assert colour_space == "Display P3"
    kept = make_options(Preset("kept", width=96, format="png", animated="keep"))
    moving = opened(process_image(data, kept).variants[0].data)
    moving.seek(1)
    assert is_near([moving.convert("RGB").getpixel((8, 8))], [(0, 0, 154)], 3)
