"""Keeping a variant from being larger in bytes than its original, which would serve nobody.

It happens where an original is far better packed than a photo can be: scans in one bit, drawings in few colours,
photos of low quality that are not made smaller. So only these are written a second time, and the rule is:

    What is not larger than its original, or than 2 KiB, stays. Else the first that is not is taken of: a drawing in
    few levels, as WebP without loss (``auto``, ``webp``); a quality of 70; of 55; and of 40, which ``auto`` writes
    as WebP. If all are larger, the smallest is taken. A PNG stays exact: it gets a palette, or becomes grey.

A drawing is what hardly changes by being reduced to 16 greys or 32 colours; a JPEG is taken for none. What is
enlarged or padded beyond its original's pixels is not weighed, nor is an animation, nor what would cost too much
time to write again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from PIL import Image, ImageChops, ImageStat

from thumbmill.core.formats import Format
from thumbmill.thumbnailer.imaging.encode import encode, encode_lossless
from thumbmill.thumbnailer.imaging.geometry import Size
from thumbmill.thumbnailer.imaging.model import EncodedVariant
from thumbmill.thumbnailer.presets.model import Preset

_NEGLIGIBLE = 2048  # bytes: a JPEG of nothing has 600
_MOST_PIXELS = 4_000_000  # of what is written again: WebP takes 60 ns for each
_QUALITIES = (70, 55, 40)  # a JPEG of the last shows its blocks, a WebP blurs
_GREYS = (16, 8, 4, 3)  # of text, 16 can't be told from 256; two would be a fax again, with broken letters
_COLOURS = 32
_PALETTE = 256  # colours, at most
_MOST_CHANGED = 5.0  # of 255, root of the mean square: text in a JPEG of quality 82 changes by 4 to 10


@dataclass(frozen=True)
class Original:
    """What a variant is weighed against."""

    file_bytes: int
    size: Size  # pixels
    format: Format


def encode_within_byte_limit(image: Image.Image, preset: Preset, original: Original) -> EncodedVariant:
    """Write an RGB or RGBA picture in the preset's format, no larger than its original if that can be."""
    best = encode(image, preset)
    most, pixels = max(original.file_bytes, _NEGLIGIBLE), image.width * image.height
    if len(best.data) <= most or pixels > min(_MOST_PIXELS, original.size[0] * original.size[1]):
        return best
    for attempt in _attempts(image, preset, may_be_drawing=original.format != "JPEG"):
        if len(attempt.data) < len(best.data):
            best = attempt
        if len(best.data) <= most:
            break
    return best


def _attempts(image: Image.Image, preset: Preset, *, may_be_drawing: bool) -> Iterator[EncodedVariant]:
    if preset.format == "png":
        for packed in _pack(image):
            yield encode_lossless(packed, preset)
        return
    if may_be_drawing and preset.format in {"auto", "webp"}:
        for drawing in _reduce_levels(image):
            yield encode_lossless(drawing, replace(preset, format="webp"))
    for quality in _QUALITIES:
        if quality < preset.quality:
            as_webp = preset.format == "auto" and quality == _QUALITIES[-1]
            yield encode(image, replace(preset, quality=quality, format="webp" if as_webp else preset.format))


def _reduce_levels(image: Image.Image) -> Iterator[Image.Image]:
    """Give a drawing in fewer and fewer levels; nothing of a photo. What has alpha is given as it is."""
    if image.mode == "RGBA":
        yield image
        return
    grey = image.convert("L")
    if _is_same(grey, image):
        reduced = [grey.point([_round(level, count) for level in range(256)]) for count in _GREYS]
        if _differs_little(reduced[0], grey):
            yield from reduced
        return
    few = image.quantize(_COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    if _differs_little(few.convert("RGB"), image):
        yield few


def _pack(image: Image.Image) -> Iterator[Image.Image]:
    """Give a picture whose pixels take a byte or less, and are the very same."""
    grey, colours = image.convert("L"), image.getcolors(_PALETTE) if image.mode == "RGB" else None
    if image.mode == "RGB" and _is_same(grey, image):
        yield grey
    if colours is None:
        return
    palette = Image.new("P", (1, 1))
    palette.putpalette([level for _, colour in colours if isinstance(colour, tuple) for level in colour])
    indexed = image.quantize(palette=palette, dither=Image.Dither.NONE)
    if _is_same(indexed, image):
        yield indexed


def _is_same(one: Image.Image, other: Image.Image) -> bool:
    return ImageChops.difference(one.convert("RGB"), other).getbbox() is None


def _round(level: int, count: int) -> int:
    """Bring a level to the nearest of so many, black and white among them."""
    return round(round(level * (count - 1) / 255) * 255 / (count - 1))


def _differs_little(one: Image.Image, other: Image.Image) -> bool:
    return max(ImageStat.Stat(ImageChops.difference(one, other)).rms) <= _MOST_CHANGED
