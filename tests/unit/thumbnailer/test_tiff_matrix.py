"""Every bit depth, kind of pixel, byte order, layout and compression of a TIFF decodes to the written image."""

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

pytestmark = pytest.mark.slow

WIDTH, HEIGHT = 37, 21  # not multiples of a tile's edges, nor of eight
LOSSLESS = make_options(Preset("full_size", width=640, height=640, format="png"))

_Y, _X = np.mgrid[0:HEIGHT, 0:WIDTH]
GREY = (_X * 255 // (WIDTH - 1)).astype("u8")
COLOUR = np.dstack([GREY, _Y * 255 // (HEIGHT - 1), 255 - GREY]).astype("u8")
INKS = np.dstack([COLOUR, GREY // 3])
ALPHA = np.where(_X < WIDTH // 2, 255, 128).astype("u8")
OTHER = (_X + 7 * _Y).astype("u8") % 256  # an extra sample that must not show


def multiplied(colours):
    return colours.reshape(HEIGHT, WIDTH, -1) * ALPHA[..., None] // 255


# By name: the samples as levels, the photometric interpretation, and the extra samples.
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
    "RGB and undeclared alpha": ([COLOUR, ALPHA], tiffs.RGB, ()),
    "RGB and another": ([COLOUR, OTHER], tiffs.RGB, (tiffs.UNSPECIFIED,)),
    "RGB, alpha and two others": ([COLOUR, ALPHA, OTHER, OTHER], tiffs.RGB, (tiffs.UNASSOCIATED, 0, 0)),
    "CMYK and alpha": ([INKS, ALPHA], tiffs.CMYK, (tiffs.UNASSOCIATED,)),
    "CMYK and another": ([INKS, OTHER], tiffs.CMYK, (tiffs.UNSPECIFIED,)),
}
DEPTHS = (1, 2, 4, 8, 12, 16, 24, 32, 64)
COMPRESSIONS = {
    "plain": (tiffs.NONE, 1),
    "PackBits": (tiffs.PACKBITS, 1),
    "deflate": (tiffs.DEFLATE, 1),
    "deflate, horizontal differencing": (tiffs.DEFLATE, 2),
    "LZW": (tiffs.LZW, 1),
    "LZW, horizontal differencing": (tiffs.LZW, 2),
}
CHUNKS = ({"rows": HEIGHT}, {"rows": 5}, {"tile": (16, 16)})


def layouts(bits, planars=(False, True)):
    """Yield every byte order with every planar configuration and compression, and the chunks in turn."""
    for turn, (order, planar) in enumerate(product("<>", planars)):
        for at, (compression, predictor) in enumerate(COMPRESSIONS.values()):
            if predictor == 1 or bits in {8, 16, 32, 64}:
                options = {"order": order, "planar": planar, "compression": compression, "predictor": predictor}
                yield options | CHUNKS[(turn + at) % len(CHUNKS)]


def to_samples(levels, bits):
    """Convert levels to samples of a bit depth."""
    if bits <= 8:
        return levels >> (8 - bits)
    count, rest = divmod(bits, 8)
    repeated = sum(levels << np.uint64(8 * at + rest) for at in range(count))
    return repeated | (levels >> np.uint64(8 - rest))


def round_trip(levels, bits):
    """Return levels after a conversion to a bit depth and back."""
    if bits >= 8:
        return levels.astype(int)
    return np.rint((levels >> np.uint64(8 - bits)).astype(int) * 255 / (2**bits - 1)).astype(int)


def expected(kind, bits):
    """Return the expected pixels: red, green, blue and alpha."""
    _, photometric, _ = KINDS[kind]
    base = {tiffs.RGB: COLOUR, tiffs.CMYK: INKS}.get(photometric, GREY)
    colours = np.atleast_3d(round_trip(base, bits))
    if photometric == tiffs.CMYK:
        light = 255 - colours
        colours = light[..., :3] * light[..., 3:] // 255
    if photometric == tiffs.WHITE_IS_ZERO:
        colours = 255 - colours
    alpha = round_trip(ALPHA, bits) if "alpha" in kind else np.full((HEIGHT, WIDTH), 255)
    return np.dstack([np.broadcast_to(colours, (HEIGHT, WIDTH, 3)), alpha])


def decoded(data):
    result = process_image(data, LOSSLESS)
    return np.asarray(Image.open(io.BytesIO(result.variants[0].data)).convert("RGBA")).astype(int)


def premultiply(pixels):
    """Multiply colours by alpha: transparent pixels have none."""
    return np.dstack([pixels[..., :3] * pixels[..., 3:] / 255, pixels[..., 3]])


ALL = [
    (kind, bits)
    for kind in KINDS
    for bits in (DEPTHS if kind in {"grey", "RGB"} else (1, 4, 8, 16, 32))
    if bits >= 8 or "premultiplied" not in kind  # products with alpha need more levels
]
# Kinds that libvips reads, too: few bits for one sample only, and no extra samples but alpha.
COMPARED = [
    (kind, bits)
    for kind in ("grey", "white is zero", "RGB", *(kind for kind in KINDS if kind.endswith(" alpha")))
    for bits in (1, 2, 4, 8, 16)
    if "CMYK" not in kind and (bits >= 8 or kind in {"grey", "white is zero"})
]


@pytest.mark.parametrize(("kind", "bits"), ALL)
def test_the_pixels_are_those_that_were_written(kind, bits):
    parts, photometric, extra = KINDS[kind]
    samples = np.dstack([to_samples(np.atleast_3d(part), bits) for part in parts])
    want = premultiply(expected(kind, bits))
    for options in layouts(bits, (False, True) if len(parts) > 1 else (False,)):
        data = tiffs.one(samples, bits, photometric, extra=extra, **options)
        error = np.abs(premultiply(decoded(data)) - want)
        assert error.max() <= 3, options  # multiplied and divided by alpha, at eight bits


@pytest.mark.parametrize(("kind", "bits"), COMPARED)
def test_libvips_shows_the_same(kind, bits):
    parts, photometric, extra = KINDS[kind]
    samples = np.dstack([to_samples(np.atleast_3d(part), bits) for part in parts])
    for options in layouts(bits, (False,)):
        data = tiffs.one(samples, bits, photometric, extra=extra, **options)
        rendered = libvips.render(data, (WIDTH, HEIGHT))
        variant = process_image(data, LOSSLESS).variants[0].data
        assert libvips.difference(variant, rendered.image) <= 0.75, options


@pytest.mark.parametrize("bits", [16, 32, 64])
@pytest.mark.parametrize("photometric", [tiffs.BLACK_IS_ZERO, tiffs.WHITE_IS_ZERO])
def test_floats_from_0_to_1_are_black_to_white(photometric, bits):
    want = expected("white is zero" if photometric == tiffs.WHITE_IS_ZERO else "grey", 8)
    compressions = ((tiffs.NONE, 1), (tiffs.DEFLATE, 1), (tiffs.DEFLATE, 2), (tiffs.LZW, 3), (tiffs.DEFLATE, 3))
    for order, chunks, (compression, predictor) in product("<>", CHUNKS, compressions):
        floats = (GREY / 255).astype(f"f{bits // 8}")
        if predictor == 2:
            floats = floats.view(f"u{bits // 8}")  # it treats the bits of floats as integers
        options = {"order": order, "compression": compression, "predictor": predictor, **chunks}
        data = tiffs.one(floats, bits, photometric, sample_format=tiffs.FLOAT, **options)
        assert np.abs(decoded(data) - want).max() <= 1, (order, chunks, compression, predictor)
