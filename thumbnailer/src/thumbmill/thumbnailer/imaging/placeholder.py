"""What a picture's pixels tell beside themselves: a colour to show before it, and a blur of it."""

import base64

from PIL import Image, ImageStat

from thumbmill.thumbnailer.imaging.thumbhash import Planes, make_thumbhash

_EDGE = 24  # pixels: enough for a colour and seven frequencies, and a third of a millisecond's work
_COLOURS = 8

# Of red, green, blue and 1; the sums go from 0 to 255.
_LIGHT = (1 / 3, 1 / 3, 1 / 3, 0)
_WARM = (1 / 4, 1 / 4, -1 / 2, 127.5)
_RED = (1 / 2, -1 / 2, 0, 127.5)


def make_placeholders(image: Image.Image) -> tuple[str, str]:
    """Give the dominant colour of an RGB or RGBA picture, and its ThumbHash in base64."""
    scale = min(1.0, _EDGE / max(image.size))
    width, height = (max(1, round(edge * scale)) for edge in image.size)
    small = image.resize((width, height), Image.Resampling.BOX)
    alpha = small.getchannel("A") if small.mode == "RGBA" else None
    flat = _fill(small, alpha) if alpha else small
    light, warm, red = (flat.convert("L", matrix).tobytes() for matrix in (_LIGHT, _WARM, _RED))
    planes = Planes(small.size, light, warm, red, alpha.tobytes() if alpha else None)
    return find_dominant_colour(flat), base64.b64encode(make_thumbhash(planes)).decode()


def find_dominant_colour(image: Image.Image) -> str:
    """Give the commonest of the few colours that are nearest to a small RGB picture's own, as #rrggbb."""
    few = image.quantize(_COLOURS, Image.Quantize.FASTOCTREE)
    counts = few.getcolors() or [(0, 0)]
    _, commonest = max(counts, key=lambda entry: entry[0])
    palette = few.getpalette() or [0, 0, 0]
    index = commonest if isinstance(commonest, int) else 0
    return "#" + bytes(palette[3 * index : 3 * index + 3]).hex()


def _fill(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """Lay a picture over the mean of what is seen of it."""
    weights = ImageStat.Stat(image.convert("RGB"), mask=alpha.point(lambda level: 255 * (level > 127)))
    mean = tuple(round(level) for level in weights.mean) if weights.count[0] else (255, 255, 255)
    filled = Image.new("RGB", image.size, mean)
    filled.paste(image, mask=alpha)
    return filled
