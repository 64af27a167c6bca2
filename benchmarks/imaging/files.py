"""The files that are measured: photographs of a camera's size in each format. Runs in the benchmark's own Python.

A photograph that is smaller is laid out with its mirror images until it fills a camera's frame, a larger one is
cropped. So no pixel is resampled, and the detail that decoders work on stays as dense as it was.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyvips
from PIL import Image, ImageOps

# Two cameras: 12.2 and 15.9 megapixels. The size decides at which scale a JPEG is decoded, and each contestant
# draws that line elsewhere, so a single size would flatter one of them.
SIZES = ((4032, 3024), (4608, 3456))
COUNT = 6
SIDEWAYS = 6  # EXIF's "turn me by 90 degrees", as phones write it
ORIENTATION = 0x0112  # the EXIF tag

Save = Callable[[Image.Image, Path, Image.Exif], None]


def make(photos: list[Path], folder: Path) -> None:
    """Write every photograph in every format, each format into a folder of its own. Takes a minute or two."""
    # The profile's own numbers are put beside pixels meant as sRGB: richer colours, but real ones.
    p3 = pyvips.Image.profile_load("p3")
    formats: dict[str, tuple[str, Save]] = {
        "baseline": ("jpg", partial(_save, format="JPEG", quality=90)),
        "progressive": ("jpg", partial(_save, format="JPEG", quality=90, progressive=True)),
        "p3": ("jpg", partial(_save, format="JPEG", quality=90, icc_profile=bytes(p3))),
        "png": ("png", partial(_save, format="PNG")),
        "webp": ("webp", partial(_save, format="WEBP", quality=85, method=2)),
        "avif": ("avif", partial(_save, format="AVIF", quality=70, speed=8)),
    }
    for number, photo in enumerate(_richest(photos)):
        print(f"  {number + 1} of {COUNT}: {photo.name}", file=sys.stderr, flush=True)
        canvas = _fill(photo, SIZES[number % 2])
        exif = Image.Exif()
        if number % 3 == 0:
            exif[ORIENTATION] = SIDEWAYS
        for name, (suffix, save) in formats.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            save(canvas, folder / name / f"{photo.stem}.{suffix}", exif)


def _richest(photos: list[Path]) -> list[Path]:
    """Choose those with the most bytes; many wallpapers are compressed harder than a camera does it."""
    return sorted(photos, key=lambda photo: photo.stat().st_size, reverse=True)[:COUNT]


def _fill(photo: Path, size: tuple[int, int]) -> Image.Image:
    with Image.open(photo) as image:
        tile = ImageOps.exif_transpose(image).convert("RGB")
    canvas = Image.new("RGB", size)
    for column, x in enumerate(range(0, canvas.width, tile.width)):
        for row, y in enumerate(range(0, canvas.height, tile.height)):
            piece = ImageOps.mirror(tile) if column % 2 else tile
            canvas.paste(ImageOps.flip(piece) if row % 2 else piece, (x, y))
    return canvas


def _save(canvas: Image.Image, path: Path, exif: Image.Exif, **options: object) -> None:
    canvas.save(path, exif=exif, **options)


if __name__ == "__main__":
    make([Path(name) for name in sys.argv[2:]], Path(sys.argv[1]))
