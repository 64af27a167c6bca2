"""Drawn landscapes, as photographs for screenshots: no photograph may be needed that is not ours."""

import io
import math
import random

from PIL import Image, ImageChops, ImageDraw, ImageFilter

# Sky from above to the horizon, mountains from far to near.
_PALETTES = (
    (("#274b7a", "#f2b889"), ("#8a7f9e", "#5d5676", "#2f2c45")),
    (("#7fc4e8", "#eef6f0"), ("#a9c6c0", "#5d9184", "#24564c")),
    (("#14213d", "#c05c4e"), ("#6f3f58", "#432a4c", "#1c1630")),
    (("#f7d9c4", "#f9f1e4"), ("#d7a98c", "#a86f5c", "#5f3c37")),
    (("#3a7ca5", "#d9e5d6"), ("#9dc0a3", "#4f8a5b", "#26492f")),
    (("#241e4e", "#960200"), ("#5f1a37", "#3c1642", "#150c25")),
)


def scene(seed: int, width: int = 1200, height: int = 800) -> bytes:
    """Return a JPEG of a landscape: a sky, a sun or moon, and ranges of mountains in haze."""
    chance = random.Random(seed)
    (top, bottom), ranges = _PALETTES[seed % len(_PALETTES)]
    sky = Image.linear_gradient("L").resize((width, height))
    image = Image.composite(Image.new("RGB", sky.size, bottom), Image.new("RGB", sky.size, top), sky)
    _draw_sun(image, chance)
    for depth, colour in enumerate(ranges):
        base = height * (0.55 + 0.15 * depth)
        ridge = [
            (x, base - _ridge(x / width, _phases(seed, depth)) * height * 0.22) for x in range(0, width + 8, 8)
        ]
        mask = Image.new("L", image.size)
        ImageDraw.Draw(mask).polygon([(0, height), *ridge, (width, height)], fill=255)
        image.paste(Image.new("RGB", image.size, colour), mask=mask.filter(ImageFilter.GaussianBlur(1.5)))
    grain = Image.effect_noise(image.size, 12).convert("RGB")
    image = ImageChops.overlay(image, Image.blend(Image.new("RGB", image.size, "#808080"), grain, 0.35))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=88)
    return out.getvalue()


def _phases(seed: int, depth: int) -> list[float]:
    chance = random.Random(f"{seed}/{depth}")
    return [chance.uniform(0, math.tau) for _ in range(6)]


def _ridge(x: float, phases: list[float]) -> float:
    return sum(math.sin(x * (3 + 2.7 * n * n) + phase) / (1 + n * 1.4) for n, phase in enumerate(phases)) / 2


def _draw_sun(image: Image.Image, chance: random.Random) -> None:
    width, height = image.size
    x, y, radius = width * chance.uniform(0.2, 0.8), height * chance.uniform(0.15, 0.4), height * 0.06
    glow = Image.new("L", image.size)
    ImageDraw.Draw(glow).ellipse([x - radius * 2, y - radius * 2, x + radius * 2, y + radius * 2], fill=120)
    image.paste("#fff3d6", mask=glow.filter(ImageFilter.GaussianBlur(radius)))
    disc = Image.new("L", image.size)
    ImageDraw.Draw(disc).ellipse([x - radius, y - radius, x + radius, y + radius], fill=235)
    image.paste("#fff6e5", mask=disc.filter(ImageFilter.GaussianBlur(2)))
