"""Alpha that a PNG has not as a channel, but as one colour it calls clear; and the colours under what is clear.

Pillow gives that colour in the numbers of the file's depth, beside pixels that it has brought to other numbers.
"""

from PIL import Image, ImageChops

_FAINT = 8  # of 255: the colour of what is less opaque is not seen, nor left whole by scaling
_STEP = 4  # pixels each way whose mean stands for those of them that are clear
_GREY, _RGB = 0, 2  # colour types, as they and the depth stand in the header (PNG specification, 11.2.1)


def rescale_trns(image: Image.Image, data: bytes) -> None:
    """Bring a PNG's clear colour to the eight bits that its pixels have been brought to."""
    clear, depth, colour_type = image.info.get("transparency"), data[24], data[25]
    if colour_type == _GREY and depth in {2, 4} and isinstance(clear, int):  # Pillow sees to 1 itself
        image.info["transparency"] = clear * 255 // (2**depth - 1)
    elif colour_type == _RGB and depth == 16 and isinstance(clear, tuple):
        image.info["transparency"] = tuple(level >> 8 for level in clear)


def to_eight_bits(image: Image.Image) -> Image.Image:
    """Make 16 bits of grey 8, and an alpha channel of a grey that is clear. Converting alone would clip."""
    clear = image.info.pop("transparency", None)
    wide = image if image.mode == "I;16" else image.convert("I")  # all that Pillow can do to others
    grey = wide.point(lambda value: value / 256).convert("L")
    if image.mode == "I;16" and isinstance(clear, int):
        grey.putalpha(ImageChops.invert(_find(image, clear)))
    return grey


def _find(image: Image.Image, grey: int) -> Image.Image:
    """Give 255 where a picture of 16 bits has this grey, 0 elsewhere."""
    low, high = Image.frombytes("LA", image.size, image.tobytes()).split()  # the two bytes of each pixel
    return ImageChops.darker(
        low.point([255 * (byte == grey & 0xFF) for byte in range(256)]),
        high.point([255 * (byte == grey >> 8) for byte in range(256)]),
    )


def bleed_alpha(image: Image.Image) -> Image.Image:
    """Give what is clear in an RGBA picture the colours of what is seen beside it.

    A lossy encoder mixes the colours of neighbours, whatever their alpha, and what a file hides under its clear
    pixels would show along every edge.
    """
    alpha = image.getchannel("A")
    lowest, highest = alpha.getextrema()
    if not isinstance(lowest, int) or lowest >= _FAINT or highest < _FAINT:
        return image
    spread = _spread(image)
    spread.putalpha(alpha)
    return spread


def _spread(image: Image.Image) -> Image.Image:
    """Fill from an ever coarser picture of what is seen."""
    alpha, colours = image.getchannel("A"), image.convert("RGB")
    lowest, _ = alpha.getextrema()
    if max(image.size) == 1 or (isinstance(lowest, int) and lowest >= _FAINT):
        return colours
    coarse = image.convert("RGBa").reduce(_STEP).convert("RGBA")  # the mean of what is seen, weighted by alpha
    coarse.putalpha(coarse.getchannel("A").point([255 * (level > 0) for level in range(256)]))
    spread = _spread(coarse).resize(image.size, Image.Resampling.BILINEAR)
    spread.paste(colours, mask=alpha.point([255 * (level >= _FAINT) for level in range(256)]))
    return spread
