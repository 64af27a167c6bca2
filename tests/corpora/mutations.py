"""Mutated files: flipped bits, deleted bytes, truncation. A seed determines them."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO

from PIL import Image
from pillow_heif import register_heif_opener

from tests.support.pngs import RGB, write_png
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.sandbox.pool import Decoder
from thumbmill.thumbnailer.sandbox.process import Rejected

SIZE = (96, 64)  # pixels: in small files more mutations hit headers, and 20,000 of them take a few minutes
SEED = 20261122


@dataclass(frozen=True)
class Mutation:
    """A mutated file, and its origin."""

    kind: str  # of the valid file
    number: int
    data: bytes


def make_mutations(count: int, seed: int = SEED) -> Iterator[Mutation]:
    """Yield mutated files of every kind in rotation."""
    kinds = list(valid_files().items())
    for number in range(count):
        kind, good = kinds[number % len(kinds)]
        chance = random.Random(f"{seed}.{number}")
        yield Mutation(kind, number, chance.choice(MUTATORS)(good, chance))


def count_kinds() -> int:
    """Return the number of kinds of valid files."""
    return len(valid_files())


def decode_all(decoder: Decoder, mutations: Iterator[Mutation], deaths: Callable[[], float]) -> Counter[str]:
    """Decode each file and count the verdicts.

    Raise AssertionError, which names the mutation, for a file that crashes the decoder or costs more than two
    processes: that would be a bug, of this project or of a library. Raise DecoderUnavailableError.
    """
    verdicts = Counter[str]()
    for mutation in mutations:
        before = deaths()
        result = decoder.decode(mutation.data)
        verdict = result.code.value if isinstance(result, Rejected) else "DONE"
        died, what = deaths() - before, f"{mutation.kind}, mutation {mutation.number}"
        assert died <= 2, f"{what}: ended {died:g} processes"
        assert verdict != ErrorCode.DECODER_CRASHED, f"{what}: crashes the decoder"
        verdicts[verdict] += 1
    return verdicts


# --- the mutators ----------------------------------------------------------------------------------------------


def flip_bits(data: bytes, chance: random.Random) -> bytes:
    """Flip one to eight bits anywhere in the file."""
    return _flipped(data, chance, len(data))


def flip_header(data: bytes, chance: random.Random) -> bytes:
    """Flip one to eight bits near the beginning, where sizes and counts are."""
    return _flipped(data, chance, min(len(data), 200))


def truncate(data: bytes, chance: random.Random) -> bytes:
    """Delete the end."""
    return data[: chance.randrange(len(data))]


def delete_bytes(data: bytes, chance: random.Random) -> bytes:
    """Delete some bytes in the middle."""
    at = chance.randrange(len(data))
    return data[:at] + data[at + chance.randint(1, 64) :]


def repeat_bytes(data: bytes, chance: random.Random) -> bytes:
    """Repeat some bytes."""
    at, length = chance.randrange(len(data)), chance.randint(1, 64)
    return data[: at + length] + data[at:]


def overwrite(data: bytes, chance: random.Random) -> bytes:
    """Overwrite some bytes with zeros, ones or noise."""
    at, length = chance.randrange(len(data)), chance.randint(1, 64)
    noise = chance.choice([bytes(length), b"\xff" * length, chance.randbytes(length)])
    return data[:at] + noise + data[at + length :]


MUTATORS = (flip_bits, flip_bits, flip_header, truncate, delete_bytes, repeat_bytes, overwrite)


def _flipped(data: bytes, chance: random.Random, end: int) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        changed[chance.randrange(end)] ^= 1 << chance.randrange(8)
    return bytes(changed)


# --- the valid files -------------------------------------------------------------------------------------------


@cache
def valid_files() -> dict[str, bytes]:
    """Return one file of each supported kind: formats, and within them what decoders treat differently."""
    register_heif_opener()
    photo, other = _texture(1), _texture(2)
    clear = photo.copy()
    clear.putalpha(other.convert("L"))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x9003] = 6, "A camera", "2026:01:31 12:00:00"
    frames = {"save_all": True, "append_images": [other, photo], "duration": 50}
    deep = [[tuple(257 * level for level in photo.getpixel((x, y))) for x in range(photo.width)] for y in range(24)]
    return {
        "JPEG": _written(photo, "JPEG", exif=exif.tobytes(), quality=80),
        "JPEG 4:4:4": _written(photo, "JPEG", subsampling=0),
        "JPEG progressive": _written(photo, "JPEG", progressive=True),
        "JPEG grey, restarts": _written(photo.convert("L"), "JPEG", restart_marker_blocks=4),
        "JPEG CMYK": _written(photo.convert("CMYK"), "JPEG"),
        "MPO": _written(photo, "MPO", save_all=True, append_images=[other]),
        "PNG": _written(photo, "PNG"),
        "PNG alpha": _written(clear, "PNG", exif=exif.tobytes()),
        "PNG palette": _written(photo.quantize(32), "PNG", transparency=3),
        "PNG 16 bits, interlaced": write_png(deep, RGB, 16, interlaced=True),
        "APNG": _written(photo, "PNG", **frames),
        "GIF": _written(photo.quantize(64), "GIF"),
        "GIF animated": _written(photo.quantize(64), "GIF", **frames),
        "WebP": _written(photo, "WEBP"),
        "WebP alpha": _written(clear, "WEBP", exif=exif.tobytes()),
        "WebP lossless": _written(clear, "WEBP", lossless=True),
        "WebP animated": _written(photo, "WEBP", **frames),
        "TIFF": _written(photo, "TIFF"),
        "TIFF LZW": _written(photo, "TIFF", compression="tiff_lzw"),
        "TIFF deflate": _written(clear, "TIFF", compression="tiff_adobe_deflate"),
        "TIFF JPEG": _written(photo, "TIFF", compression="jpeg"),
        "TIFF fax": _written(photo.convert("1"), "TIFF", compression="group4"),
        "BMP": _written(photo, "BMP"),
        "BMP palette": _written(photo.quantize(16), "BMP"),
        "AVIF": _written(photo, "AVIF", speed=10),
        "AVIF alpha": _written(clear, "AVIF", speed=10),
        "HEIF": _written(photo, "HEIF", quality=60),
        "HEIF alpha": _written(clear, "HEIF", quality=60),
    }


def _texture(seed: int) -> Image.Image:
    """Return an image with edges and smooth parts, as photos have."""
    coarse = Image.frombytes("RGB", (12, 8), random.Random(seed).randbytes(12 * 8 * 3))
    return coarse.resize(SIZE, Image.Resampling.BICUBIC)


def _written(image: Image.Image, kind: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
