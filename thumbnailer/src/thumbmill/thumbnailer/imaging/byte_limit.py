"""Limit a variant to the size in bytes of its original: a larger thumbnail is useless.

Variants exceed their originals where these are compressed better than any photo: bilevel scans, drawings of
few colours, and photos of low quality that keep their size in pixels. Only such variants are encoded again. The
rule is:

    A variant of at most 2 KiB, or of at most the bytes of its original, stays. Otherwise the first candidate within
    that limit replaces it: a drawing with fewer levels as lossless WebP (``auto``, ``webp``); quality 70; quality
    55; and quality 40, which ``auto`` encodes as WebP. If all of them exceed the limit, the smallest is taken. A
    PNG stays lossless: it becomes a palette image or a greyscale one.

An image is a drawing if quantization to 16 greys or 32 colours hardly changes it; a JPEG never is. The limit does
not apply to images that are enlarged or padded beyond the pixels of their originals, to animations, or to images
that would take too long to encode again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from PIL import Image, ImageChops, ImageStat

from thumbmill.core.formats import Format
from thumbmill.thumbnailer.imaging.encode import encode, encode_lossless
from thumbmill.thumbnailer.imaging.geometry import Size
from thumbmill.thumbnailer.imaging.model import EncodedVariant
from thumbmill.thumbnailer.presets.model import Preset

_NEGLIGIBLE_BYTES = 2048  # an empty JPEG has 600
_MAX_PIXELS = 4_000_000  # of an image that is encoded again: WebP takes 60 ns a pixel
_QUALITIES = (70, 55, 40)  # at the last one a JPEG shows its blocks, while a WebP blurs
_GREY_LEVELS = (16, 8, 4, 3)  # 16 look like 256 in text; 2 would break its letters as a fax does
_COLOURS = 32
_PALETTE_SIZE = 256  # colours at most
_MAX_DIFFERENCE = 5.0  # root mean square, of 255: a JPEG of quality 82 changes text by 4 to 10


@dataclass(frozen=True)
class Original:
    """What a variant is compared with."""

    file_bytes: int
    size: Size  # pixels
    format: Format


def encode_within_byte_limit(image: Image.Image, preset: Preset, original: Original) -> EncodedVariant:
    """Encode an RGB or RGBA image in the preset's format, in no more bytes than its original if possible."""
    best = encode(image, preset)
    limit, pixels = max(original.file_bytes, _NEGLIGIBLE_BYTES), image.width * image.height
    if len(best.data) <= limit or pixels > min(_MAX_PIXELS, original.size[0] * original.size[1]):
        return best
    for candidate in _candidates(image, preset, may_be_drawing=original.format != "JPEG"):
        if len(candidate.data) < len(best.data):
            best = candidate
        if len(best.data) <= limit:
            break
    return best


def _candidates(image: Image.Image, preset: Preset, *, may_be_drawing: bool) -> Iterator[EncodedVariant]:
    if preset.format == "png":
        for compact in _compact_modes(image):
            yield encode_lossless(compact, preset)
        return
    if may_be_drawing and preset.format in {"auto", "webp"}:
        for drawing in _quantize_drawing(image):
            yield encode_lossless(drawing, replace(preset, format="webp"))
    for quality in _QUALITIES:
        if quality < preset.quality:
            as_webp = preset.format == "auto" and quality == _QUALITIES[-1]
            yield encode(image, replace(preset, quality=quality, format="webp" if as_webp else preset.format))


def _quantize_drawing(image: Image.Image) -> Iterator[Image.Image]:
    """Yield a drawing with fewer and fewer levels, and nothing for a photo. Yield an image with alpha unchanged."""
    if image.mode == "RGBA":
        yield image
        return
    grey = image.convert("L")
    if _is_equal(grey, image):
        quantized = [grey.point([_quantize(level, count) for level in range(256)]) for count in _GREY_LEVELS]
        if _is_similar(quantized[0], grey):
            yield from quantized
        return
    indexed = image.quantize(_COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    if _is_similar(indexed.convert("RGB"), image):
        yield indexed


def _compact_modes(image: Image.Image) -> Iterator[Image.Image]:
    """Yield the same pixels in modes of at most one byte a pixel, where they exist: greyscale and palette."""
    grey, colours = image.convert("L"), image.getcolors(_PALETTE_SIZE) if image.mode == "RGB" else None
    if image.mode == "RGB" and _is_equal(grey, image):
        yield grey
    if colours is None:
        return
    palette = Image.new("P", (1, 1))
    palette.putpalette([level for _, colour in colours if isinstance(colour, tuple) for level in colour])
    indexed = image.quantize(palette=palette, dither=Image.Dither.NONE)
    if _is_equal(indexed, image):
        yield indexed


def _is_equal(one: Image.Image, other: Image.Image) -> bool:
    return ImageChops.difference(one.convert("RGB"), other).getbbox() is None


def _quantize(level: int, count: int) -> int:
    """Round a level to the nearest of ``count`` levels, which include black and white."""
    return round(round(level * (count - 1) / 255) * 255 / (count - 1))


def _is_similar(one: Image.Image, other: Image.Image) -> bool:
    return max(ImageStat.Stat(ImageChops.difference(one, other)).rms) <= _MAX_DIFFERENCE
