"""What a picture's pixels tell beside themselves: a colour to show before it, and a blur of it."""

import base64
from collections import Counter
from collections.abc import Iterable

from PIL import Image

from thumbnailer.thumbhash import Pixel, hash_pixels

_EDGE = 32  # pixels: enough for a colour and seven frequencies, and a millisecond's work


def describe_pixels(image: Image.Image) -> tuple[bool, str, str]:
    """Look at an RGB or RGBA picture: whether it has alpha, its dominant colour, its ThumbHash in base64."""
    scale = min(1.0, _EDGE / max(image.size))
    width, height = (max(1, round(edge * scale)) for edge in image.size)
    small = image.resize((width, height), Image.Resampling.BOX).convert("RGBA")
    levels = iter(small.tobytes())
    pixels = list(zip(levels, levels, levels, levels, strict=True))
    hashed = base64.b64encode(hash_pixels(width, height, pixels)).decode()
    return image.mode == "RGBA", find_dominant_colour(pixels), hashed


def find_dominant_colour(pixels: Iterable[Pixel]) -> str:
    """Give the mean of the commonest colours, as #rrggbb: of a cube of 8 x 8 x 8 boxes the one with most in it."""
    weights, sums = Counter[tuple[int, int, int]](), dict[tuple[int, int, int], list[int]]()
    for red, green, blue, alpha in pixels:
        box = red >> 5, green >> 5, blue >> 5
        weights[box] += alpha
        sums[box] = [
            old + new * alpha for old, new in zip(sums.get(box, (0, 0, 0)), (red, green, blue), strict=True)
        ]
    box, weight = weights.most_common(1)[0]
    return "#" + "".join(f"{(total + weight // 2) // weight if weight else 255:02x}" for total in sums[box])
