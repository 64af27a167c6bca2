"""Transparency: the transparent colour of a PNG (tRNS), and the colours under transparent pixels.

A PNG without an alpha channel can declare one colour transparent. Pillow keeps that colour at the bit depth of the
file, although it scales the pixels to 8 bits.
"""

from PIL import Image, ImageChops

_MIN_ALPHA = 8  # of 255: with less, the colour of a pixel is not visible, and scaling does not preserve it
_REDUCTION = 4  # pixels in each direction whose mean replaces the transparent ones among them
_GREYSCALE, _TRUECOLOUR = 0, 2  # colour types in the header (PNG specification, 11.2.1)


def rescale_trns(image: Image.Image, data: bytes) -> None:
    """Scale the transparent colour of a PNG to 8 bits, as Pillow has scaled the pixels."""
    transparent, depth, colour_type = image.info.get("transparency"), data[24], data[25]
    if colour_type == _GREYSCALE and depth in {2, 4} and isinstance(transparent, int):  # Pillow scales a depth of 1
        image.info["transparency"] = transparent * 255 // (2**depth - 1)
    elif colour_type == _TRUECOLOUR and depth == 16 and isinstance(transparent, tuple):
        image.info["transparency"] = tuple(level >> 8 for level in transparent)


def to_8bit(image: Image.Image) -> Image.Image:
    """Convert 16-bit grey to 8 bits, and a transparent grey to an alpha channel.

    A plain conversion of the mode would clip.
    """
    transparent = image.info.pop("transparency", None)
    wide = image if image.mode == "I;16" else image.convert("I")  # Pillow scales only these two modes
    grey = wide.point(lambda value: value / 256).convert("L")
    if image.mode == "I;16" and isinstance(transparent, int):
        grey.putalpha(ImageChops.invert(_mask_of(image, transparent)))
    return grey


def _mask_of(image: Image.Image, grey: int) -> Image.Image:
    """Return a mask of a 16-bit image: 255 for pixels of this grey, 0 for all others."""
    low, high = Image.frombytes("LA", image.size, image.tobytes()).split()  # the two bytes of each pixel
    return ImageChops.darker(
        low.point([255 * (byte == grey & 0xFF) for byte in range(256)]),
        high.point([255 * (byte == grey >> 8) for byte in range(256)]),
    )


def bleed_alpha(image: Image.Image) -> Image.Image:
    """Give transparent pixels of an RGBA image the colours of the nearest visible ones.

    A lossy encoder mixes the colours of neighbours without regard to alpha. The colours that a file hides under
    transparent pixels would bleed into every edge.
    """
    alpha = image.getchannel("A")
    lowest, highest = alpha.getextrema()
    if not isinstance(lowest, int) or lowest >= _MIN_ALPHA or highest < _MIN_ALPHA:
        return image
    filled = _fill_transparent(image)
    filled.putalpha(alpha)
    return filled


def _fill_transparent(image: Image.Image) -> Image.Image:
    """Fill transparent pixels from a pyramid of ever smaller images of the visible ones."""
    alpha, colours = image.getchannel("A"), image.convert("RGB")
    lowest, _ = alpha.getextrema()
    if max(image.size) == 1 or (isinstance(lowest, int) and lowest >= _MIN_ALPHA):
        return colours
    smaller = image.convert("RGBa").reduce(_REDUCTION).convert("RGBA")  # premultiplied: a mean weighted by alpha
    smaller.putalpha(smaller.getchannel("A").point([255 * (level > 0) for level in range(256)]))
    filled = _fill_transparent(smaller).resize(image.size, Image.Resampling.BILINEAR)
    filled.paste(colours, mask=alpha.point([255 * (level >= _MIN_ALPHA) for level in range(256)]))
    return filled
