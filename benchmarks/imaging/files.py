"""Create the test files: photographs of a camera's size in each format. Runs in the benchmark's own Python.

A smaller photograph is tiled with its mirror images up to the size of a camera's frame, a larger one is cropped. So
no pixel is resampled, and the density of detail, which determines the decoders' work, does not change.
"""

import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pillow_heif
import pyvips
from PIL import Image, ImageOps

# Two cameras: 12.2 and 15.9 megapixels. The size determines the scale at which a JPEG is decoded, with another
# threshold for each contestant, so a single size would favour one of them.
SIZES = ((4032, 3024), (4608, 3456))
LARGE = (8064, 6048)  # a phone's 48 megapixels
COUNT = 6
LARGE_COUNT = 2
ROTATED = 6  # EXIF orientation: rotate by 90 degrees, as phones write it
ORIENTATION = 0x0112  # the EXIF tag

Save = Callable[[Image.Image, Path, Image.Exif], None]


def make(photos: list[Path], folder: Path) -> None:
    """Write every photograph in every format, each format into its own folder. Takes a few minutes."""
    pillow_heif.register_heif_opener()
    # The profile is attached to sRGB pixels: more saturated colours, but real ones.
    p3 = pyvips.Image.profile_load("p3")
    # A slower preset takes minutes a photograph, and phones encode in hardware with few of its tools.
    heic = partial(_save, format="HEIF", quality=60, enc_params={"preset": "veryfast"})
    formats: dict[str, tuple[str, Save]] = {
        "baseline": ("jpg", partial(_save, format="JPEG", quality=90)),
        "progressive": ("jpg", partial(_save, format="JPEG", quality=90, progressive=True)),
        "p3": ("jpg", partial(_save, format="JPEG", quality=90, icc_profile=bytes(p3))),
        "png": ("png", partial(_save, format="PNG")),
        "webp": ("webp", partial(_save, format="WEBP", quality=85, method=2)),
        "avif": ("avif", partial(_save, format="AVIF", quality=70, speed=8)),
        "heic": ("heic", heic),
    }
    for number, photo in enumerate(_largest(photos)):
        print(f"  {number + 1} of {COUNT}: {photo.name}", file=sys.stderr, flush=True)
        canvas = _fill(photo, SIZES[number % 2])
        exif = Image.Exif()
        if number % 3 == 0:
            exif[ORIENTATION] = ROTATED
        for name, (suffix, save) in formats.items():
            (folder / name).mkdir(parents=True, exist_ok=True)
            save(canvas, folder / name / f"{photo.stem}.{suffix}", exif)
        if number < LARGE_COUNT:
            (folder / "heic48").mkdir(parents=True, exist_ok=True)
            heic(_fill(photo, LARGE), folder / "heic48" / f"{photo.stem}.heic", exif)


def copy_screenshots(screenshots: list[Path], folder: Path) -> None:
    """Copy the web console's pages, as a browser wrote them."""
    folder.mkdir(parents=True, exist_ok=True)
    for screenshot in screenshots:
        shutil.copy(screenshot, folder)


def _largest(photos: list[Path]) -> list[Path]:
    """Return those with the most bytes; many wallpapers are compressed more than a camera's photos."""
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


def _save(canvas: Image.Image, path: Path, exif: Image.Exif, **options: Any) -> None:
    canvas.save(path, exif=exif, **options)


if __name__ == "__main__":
    destination, *sources = map(Path, sys.argv[1:])
    copy_screenshots([path for path in sources if path.suffix == ".png"], destination / "screenshots")
    make([path for path in sources if path.suffix != ".png"], destination)
