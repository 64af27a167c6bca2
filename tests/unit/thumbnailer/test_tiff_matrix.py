"""Every depth, kind of pixel, byte order, layout and compression of a TIFF: the picture, and never another one."""

import io
from itertools import product

import numpy as np
import pytest
from PIL import Image

from tests.corpora import libvips
from tests.support import tiffs
from tests.unit.thumbnailer.options import make_options
from thumbmill.thumbnailer.imaging.pipeline import process_image
from thumbmill.thumbnailer.presets.model import Preset

WIDTH, HEIGHT = 37, 21  # no multiples of a tile's edges, nor of eight
LOSSLESS = make_options(Preset("whole", width=640, height=640, format="png"))

_Y, _X = np.mgrid[0:HEIGHT, 0:WIDTH]
GREY = (_X * 255 // (WIDTH - 1)).astype("u8")
COLOUR = np.dstack([GREY, _Y * 255 // (HEIGHT - 1), 255 - GREY]).astype("u8")
INKS = np.dstack([COLOUR, GREY // 3])
ALPHA = np.where(_X < WIDTH // 2, 255, 128).astype("u8")
OTHER = (_X + 7 * _Y).astype("u8") % 256  # a sample that must not show


def multiplied(colours):
    return colours.reshape(HEIGHT, WIDTH, -1) * ALPHA[..., None] // 255


# By name: the samples as levels, the photometric interpretation, the extra samples, and which of them are colours.
KINDS = {
    "grey": ([GREY], tiffs.BLACK_IS_ZERO, ()),
    "white is zero": ([GREY], tiffs.WHITE_IS_ZERO, ()),
    "RGB": ([COLOUR], tiffs.RGB, ()),
    "CMYK": ([INKS], tiffs.CMYK, ()),
    "grey and alpha": ([GREY, ALPHA], tiffs.BLACK_IS_ZERO, (tiffs.UNASSOCIATED,)),
    "white is zero and alpha": ([GREY, ALPHA], tiffs.WHITE_IS_ZERO, (tiffs.UNASSOCIATED,)),
    "grey and premultiplied alpha": ([multiplied(GREY), ALPHA], tiffs.BLACK_IS_ZERO, (tiffs.ASSOCIATED,)),
    "grey and another": ([GREY, OTHER], tiffs.BLACK_IS_ZERO, (tiffs.UNSPECIFIED,)),
    "grey and twelve others": ([GREY] + [OTHER] * 12, tiffs.BLACK_IS_ZERO, (tiffs.UNSPECIFIED,) * 12),
    "RGB and alpha": ([COLOUR, ALPHA], tiffs.RGB, (tiffs.UNASSOCIATED,)),
    "RGB and premultiplied alpha": ([multiplied(COLOUR), ALPHA], tiffs.RGB, (tiffs.ASSOCIATED,)),
    "RGB and alpha that nobody mentions": ([COLOUR, ALPHA], tiffs.RGB, ()),
    "RGB and another": ([COLOUR, OTHER], tiffs.RGB, (tiffs.UNSPECIFIED,)),
    "RGB, alpha and two others": ([COLOUR, ALPHA, OTHER, OTHER], tiffs.RGB, (tiffs.UNASSOCIATED, 0, 0)),
    "CMYK and alpha": ([INKS, ALPHA], tiffs.CMYK, (tiffs.UNASSOCIATED,)),
    "CMYK and another": ([INKS, OTHER], tiffs.CMYK, (tiffs.UNSPECIFIED,)),
}
DEPTHS = (1, 2, 4, 8, 12, 16, 24, 32, 64)
WAYS = {
    "plain": (tiffs.NONE, 1),
    "PackBits": (tiffs.PACKBITS, 1),
    "deflate": (tiffs.DEFLATE, 1),
    "deflate and differences": (tiffs.DEFLATE, 2),
    "LZW": (tiffs.LZW, 1),
    "LZW and differences": (tiffs.LZW, 2),
}
CHUNKS = ({"rows": HEIGHT}, {"rows": 5}, {"tile": (16, 16)})


def ways(bits, planars=(False, True)):
    """Give every order of bytes with every layout of planes and every compression, and the chunks in turn."""
    for turn, (order, planar) in enumerate(product("<>", planars)):
        for at, (compression, predictor) in enumerate(WAYS.values()):
            if predictor == 1 or bits in {8, 16, 32, 64}:
                options = {"order": order, "planar": planar, "compression": compression, "predictor": predictor}
                yield options | CHUNKS[(turn + at) % len(CHUNKS)]


def deepen(levels, bits):
    """Bring levels to samples of so many bits."""
    if bits <= 8:
        return levels >> (8 - bits)
    whole, rest = divmod(bits, 8)
    repeated = sum(levels << np.uint64(8 * at + rest) for at in range(whole))
    return repeated | (levels >> np.uint64(8 - rest))


def shallow(levels, bits):
    """Give what is left of levels when they have been samples of so many bits."""
    if bits >= 8:
        return levels.astype(int)
    return np.rint((levels >> np.uint64(8 - bits)).astype(int) * 255 / (2**bits - 1)).astype(int)


def expected(kind, bits):
    """Paint what is to be seen: red, green, blue and alpha."""
    _, photometric, _ = KINDS[kind]
    base = {tiffs.RGB: COLOUR, tiffs.CMYK: INKS}.get(photometric, GREY)
    colours = np.atleast_3d(shallow(base, bits))
    if photometric == tiffs.CMYK:
        light = 255 - colours
        colours = light[..., :3] * light[..., 3:] // 255
    if photometric == tiffs.WHITE_IS_ZERO:
        colours = 255 - colours
    alpha = shallow(ALPHA, bits) if "alpha" in kind else np.full((HEIGHT, WIDTH), 255)
    return np.dstack([np.broadcast_to(colours, (HEIGHT, WIDTH, 3)), alpha])


def seen(data):
    picture = process_image(data, LOSSLESS)
    return np.asarray(Image.open(io.BytesIO(picture.variants[0].data)).convert("RGBA")).astype(int)


def weigh(pixels):
    """What is clear has no colour."""
    return np.dstack([pixels[..., :3] * pixels[..., 3:] / 255, pixels[..., 3]])


ALL = [
    (kind, bits)
    for kind in KINDS
    for bits in (DEPTHS if kind in {"grey", "RGB"} else (1, 4, 8, 16, 32))
    if bits >= 8 or "premultiplied" not in kind  # so few levels can't be multiplied by alpha and be what they were
]
# What libvips reads, too: few bits only of one sample, and no extra samples that are something else than alpha.
COMPARED = [
    (kind, bits)
    for kind in ("grey", "white is zero", "RGB", *(kind for kind in KINDS if kind.endswith(" alpha")))
    for bits in (1, 2, 4, 8, 16)
    if "CMYK" not in kind and (bits >= 8 or kind in {"grey", "white is zero"})
]


@pytest.mark.parametrize(("kind", "bits"), ALL)
def test_the_picture_is_the_one_that_was_written(kind, bits):
    parts, photometric, extra = KINDS[kind]
    samples = np.dstack([deepen(np.atleast_3d(part), bits) for part in parts])
    want = weigh(expected(kind, bits))
    for options in ways(bits, (False, True) if len(parts) > 1 else (False,)):
        data = tiffs.one(samples, bits, photometric, extra=extra, **options)
        away = np.abs(weigh(seen(data)) - want)
        assert away.max() <= 3, options  # multiplied and divided by alpha, at eight bits


@pytest.mark.parametrize(("kind", "bits"), COMPARED)
def test_libvips_shows_the_same(kind, bits):
    parts, photometric, extra = KINDS[kind]
    samples = np.dstack([deepen(np.atleast_3d(part), bits) for part in parts])
    for options in ways(bits, (False,)):
        data = tiffs.one(samples, bits, photometric, extra=extra, **options)
        shown = libvips.render(data, (WIDTH, HEIGHT))
        ours = process_image(data, LOSSLESS).variants[0].data
        assert libvips.difference(ours, shown.image) <= 0.75, options


@pytest.mark.parametrize("bits", [16, 32, 64])
@pytest.mark.parametrize("photometric", [tiffs.BLACK_IS_ZERO, tiffs.WHITE_IS_ZERO])
def test_floats_from_0_to_1_are_black_to_white(photometric, bits):
    want = expected("white is zero" if photometric == tiffs.WHITE_IS_ZERO else "grey", 8)
    ways = ((tiffs.NONE, 1), (tiffs.DEFLATE, 1), (tiffs.DEFLATE, 2), (tiffs.LZW, 3), (tiffs.DEFLATE, 3))
    for order, chunks, (compression, predictor) in product("<>", CHUNKS, ways):
        floats = (GREY / 255).astype(f"f{bits // 8}")
        if predictor == 2:
            floats = floats.view(f"u{bits // 8}")  # it takes the bits of floats for whole numbers
        options = {"order": order, "compression": compression, "predictor": predictor, **chunks}
        data = tiffs.one(floats, bits, photometric, sample_format=tiffs.FLOAT, **options)
        assert np.abs(seen(data) - want).max() <= 1, (order, chunks, compression, predictor)
