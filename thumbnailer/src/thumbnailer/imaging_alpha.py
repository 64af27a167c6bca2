"""Alpha that a PNG has not as a channel, but as one colour it calls clear.

Pillow gives that colour in the numbers of the file's depth, beside pixels that it has brought to other numbers.
"""

from PIL import Image, ImageChops

_GREY, _RGB = 0, 2  # colour types, as they and the depth stand in the header (PNG specification, 11.2.1)


def settle_clear_colour(image: Image.Image, data: bytes) -> None:
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
