"""Images generated on the spot, so that the repository contains no foreign ones."""

import io
import random
import struct
import zlib
from functools import cache

from PIL import ExifTags, Image
from pillow_heif import register_heif_opener

register_heif_opener()  # tests write HEIC too

ORIENTATION = 0x0112  # the EXIF tag


@cache
def photo(width=640, height=480, *, orientation=1, kind="JPEG", seed=0) -> bytes:
    """Return an image whose left upper quarter is red and the rest a gradient; ``seed`` makes its bytes unique.

    ``orientation`` is written as EXIF: the image is then displayed rotated or mirrored.
    """
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    image.paste((220, 20, 20), (0, 0, width // 2, height // 2))
    image.putpixel((width - 1, height - 1), (seed % 256, seed // 256 % 256, seed // 65536 % 256))
    options = {}
    if orientation != 1:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        options["exif"] = exif
    if seed and kind == "JPEG":
        options["comment"] = f"seed {seed}".encode()
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def grain(size, spread, seed=0):
    """Return grey noise, the same in every run, since the effect of damage must not depend on the run.

    ``spread`` is about its standard deviation, in levels.
    """
    chance = random.Random(f"{size} {spread} {seed}")
    flat = Image.frombytes("L", size, chance.randbytes(size[0] * size[1]))
    return flat.point([min(255, max(0, round(128 + (level - 127.5) * spread / 74))) for level in range(256)])


def travel_photo() -> bytes:
    """Return a rotated photo with the metadata of a phone: camera, lens, time and location."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Model] = "Fairphone", "FP4"
    exif.get_ifd(ExifTags.IFD.Exif).update(
        {
            ExifTags.Base.DateTimeOriginal: "2026:05:04 12:34:56",
            ExifTags.Base.OffsetTimeOriginal: "+02:00",
            ExifTags.Base.LensModel: "28 mm f/1.8",
        }
    )
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: (51.0, 28.0, 40.2), 3: "W", 4: (0.0, 0.0, 5.4)})
    file = io.BytesIO()
    opened(photo(800, 600)).save(file, "JPEG", exif=exif)
    return file.getvalue()


def faulty_photo(fault: str) -> bytes:
    """Return a valid JPEG on which the tests' faulty decoder fails: it crashes, computes forever and the like."""
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (10, 120, 10)).save(file, "JPEG", comment=f"thumbmill-fault:{fault}".encode())
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    """Return a PNG of any size with few bytes of image data."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


@cache
def noise(width: int, height: int, seed: int = 0) -> bytes:
    """Return a PNG that hardly compresses: a little over three bytes a pixel."""
    file = io.BytesIO()
    Image.frombytes("RGB", (width, height), random.Random(seed).randbytes(3 * width * height)).save(
        file, "PNG", compress_level=1
    )
    return file.getvalue()


def red_quarter(data: bytes) -> str:
    """Return where a photo's red quarter is: "left upper" as generated, elsewhere if it was rotated."""
    image = opened(data).convert("RGB")
    found = [
        f"{side} {level}"
        for side, x in (("left", 1), ("right", 3))
        for level, y in (("upper", 1), ("lower", 3))
        if _is_red(image.getpixel((image.width * x // 4, image.height * y // 4)))
    ]
    assert len(found) == 1, f"red quarters: {found}"
    return found[0]


def _is_red(pixel) -> bool:
    red, green, blue = pixel
    return red > 150 and green < 80 and blue < 80


def opened(data: bytes) -> Image.Image:
    """Decode an image to its last byte; raise if it is not one."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image
