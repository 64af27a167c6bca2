"""Placeholders for an image that is still loading: its dominant colour, and a blurred preview."""

import base64

from PIL import Image, ImageStat

from thumbmill.thumbnailer.imaging.thumbhash import Planes, make_thumbhash

_EDGE = 24  # pixels: enough for a colour and seven frequencies, in a third of a millisecond
_COLOURS = 8

# ThumbHash's channels as weights of red, green and blue, and an offset. The results range from 0 to 255.
_LUMINANCE = (1 / 3, 1 / 3, 1 / 3, 0)
_YELLOW_BLUE = (1 / 4, 1 / 4, -1 / 2, 127.5)
_RED_GREEN = (1 / 2, -1 / 2, 0, 127.5)


def make_placeholders(image: Image.Image) -> tuple[str, str]:
    """Return the dominant colour of an RGB or RGBA image, and its ThumbHash in base64."""
    scale = min(1.0, _EDGE / max(image.size))
    width, height = (max(1, round(edge * scale)) for edge in image.size)
    small = image.resize((width, height), Image.Resampling.BOX)
    alpha = small.getchannel("A") if small.mode == "RGBA" else None
    opaque = _flatten(small, alpha) if alpha else small
    l, p, q = (opaque.convert("L", matrix).tobytes() for matrix in (_LUMINANCE, _YELLOW_BLUE, _RED_GREEN))  # noqa: E741
    planes = Planes(small.size, l, p, q, alpha.tobytes() if alpha else None)
    return find_dominant_colour(opaque), base64.b64encode(make_thumbhash(planes)).decode()


def find_dominant_colour(image: Image.Image) -> str:
    """Quantize a small RGB image to a few colours, and return the most frequent one as #rrggbb."""
    quantized = image.quantize(_COLOURS, Image.Quantize.FASTOCTREE)
    counts = quantized.getcolors() or [(0, 0)]
    _, most_frequent = max(counts, key=lambda entry: entry[0])
    palette = quantized.getpalette() or [0, 0, 0]
    index = most_frequent if isinstance(most_frequent, int) else 0
    return "#" + bytes(palette[3 * index : 3 * index + 3]).hex()


def _flatten(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """Composite an image onto the mean colour of its visible pixels."""
    visible = ImageStat.Stat(image.convert("RGB"), mask=alpha.point(lambda level: 255 * (level > 127)))
    mean = tuple(round(level) for level in visible.mean) if visible.count[0] else (255, 255, 255)
    flattened = Image.new("RGB", image.size, mean)
    flattened.paste(image, mask=alpha)
    return flattened
