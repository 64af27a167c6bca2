"""What each format costs, as a table, and the look at a header before anything is decoded."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,  # noqa: F401 - a plugin registers itself when imported; named here so that no other one is
    GifImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,  # noqa: F401
    MpoImagePlugin,  # noqa: F401
    PngImagePlugin,
    TiffImagePlugin,  # noqa: F401
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)
from pillow_heif import register_heif_opener

from pipeline.errors import ErrorCode
from pipeline.signatures import SIGNATURES, Format, Signature, recognise
from thumbnailer.iso_repair import repair
from thumbnailer.pictures import BadPictureError, Limits, Recipe
from thumbnailer.png_chunks import MAX_PROFILE_BYTES


@dataclass(frozen=True)
class _Kind:
    """What decoding and resizing a format's files takes: the most of any mode, measured."""

    bytes_per_pixel: int


FORMATS: dict[Format, _Kind] = {
    "JPEG": _Kind(12),  # at the scale it is decoded at; see ``_count_bytes``
    "PNG": _Kind(13),
    "GIF": _Kind(9),
    "WEBP": _Kind(18),
    "BMP": _Kind(9),
    "TIFF": _Kind(13),
    "AVIF": _Kind(10),
    "HEIF": _Kind(13),
}
ANIMATED: frozenset[Format] = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
_PAGED: frozenset[Format] = frozenset({"GIF", "TIFF"})  # their frames are found by walking through the file
_PROGRESSIVE_BYTES = 8  # a pixel: four coefficients of two bytes
_MAJOR_BRANDS = frozenset().union(*(signature.brands for signature in SIGNATURES)) - {b"MA1A", b"MA1B"}
_BASE_BYTES = 208 * 1024 * 1024  # the interpreter and all libraries take 155 MB of address space, half of it numpy


def open_image(data: bytes) -> Image.Image:
    """Read the header. The content decides the format; the file's name and type are hearsay."""
    Image.MAX_IMAGE_PIXELS = None  # ``check_cost`` is the limit, for every format alike
    PngImagePlugin.MAX_TEXT_CHUNK = MAX_PROFILE_BYTES  # Pillow has one limit for text and profiles
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # every core has a child of its own
    # A thumbnail inside the file may show something else than the file.
    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    signature = recognise(data)
    if signature is None:
        raise BadPictureError(ErrorCode.UNSUPPORTED_FORMAT)
    try:
        with damage_told():
            image = Image.open(BytesIO(_adapt(data, signature)), formats=[signature.format])
    except UnidentifiedImageError as fault:
        raise BadPictureError(ErrorCode.UNREADABLE_IMAGE, "the header is damaged") from fault
    image.info.pop("xmp", None)  # Pillow would turn a TIFF by it
    return image


def _adapt(data: bytes, signature: Signature) -> bytes:
    """Change what Pillow, or the library below it, would take amiss."""
    if signature.format == "WEBP":
        return _admit_alpha(data)
    if signature.brands:
        data = repair(data)
    if signature.brands and data[8:12] not in _MAJOR_BRANDS:  # Pillow looks at this one alone
        return data[:8] + signature.content_type.removeprefix("image/").encode() + data[12:]
    return data


def _admit_alpha(data: bytes) -> bytes:
    """Have an animated WebP say that it has alpha, or what its first frame leaves free would turn out black.

    Writers leave the flag out where each frame by itself is opaque. The two flags are those of the chunk VP8X.
    """
    if data[12:16] != b"VP8X" or len(data) < 21 or not data[20] & 0x02:
        return data
    return data[:20] + bytes((data[20] | 0x10,)) + data[21:]


def name_format(image: Image.Image) -> Format:
    """Name a picture's format; MPO is a JPEG with further pictures behind the first, as many cameras write it."""
    return next((name for name in FORMATS if name == image.format), "JPEG")


def check_cost(image: Image.Image, file_bytes: int, limits: Limits, eighths: int) -> None:
    """Refuse before anything is decoded: a few bytes can claim gigabytes. ``eighths``: of a JPEG's edges."""
    check_pixels(image.size, limits)
    needed = _BASE_BYTES + 2 * file_bytes + _count_bytes(image, eighths)
    _check_memory(needed, image.size, name_format(image), limits)


def check_canvas(data: bytes, limits: Limits) -> None:
    """Refuse a WebP by its first bytes: libwebp takes the memory of two whole pictures as soon as it opens one."""
    match data[:4] + data[12:16]:
        case b"RIFFVP8X":
            size = _number(data[24:27]) + 1, _number(data[27:30]) + 1
        case b"RIFFVP8L":
            size = _number(data[21:23]) % 2**14 + 1, (_number(data[21:25]) >> 14) % 2**14 + 1
        case b"RIFFVP8 ":
            size = _number(data[26:28]) % 2**14, _number(data[28:30]) % 2**14
        case _:
            return
    check_pixels(size, limits)
    _check_memory(_BASE_BYTES + FORMATS["WEBP"].bytes_per_pixel * size[0] * size[1], size, "WEBP", limits)


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def _check_memory(needed: int, size: tuple[int, int], name: Format, limits: Limits) -> None:
    if needed > limits.memory_bytes:
        detail = f"{size[0]} x {size[1]} pixels of {name} take {needed >> 20} MiB to decode"
        raise BadPictureError(ErrorCode.IMAGE_TOO_LARGE, f"{detail}, more than {limits.memory_bytes >> 20}")


def check_pixels(size: tuple[int, int], limits: Limits) -> None:
    """Refuse too large a picture."""
    width, height = size
    if width * height > limits.pixels:
        raise BadPictureError(ErrorCode.IMAGE_TOO_LARGE, f"{width} x {height} pixels, more than {limits.pixels}")


def _count_bytes(image: Image.Image, eighths: int) -> int:
    """Count what decoding and resizing take; a progressive JPEG is kept whole until its last scan."""
    pixels, weight = image.width * image.height, FORMATS[name_format(image)].bytes_per_pixel
    if image.info.get("progressive"):
        return _PROGRESSIVE_BYTES * pixels + (weight - _PROGRESSIVE_BYTES) * pixels * eighths**2 // 64
    return weight * pixels * eighths**2 // 64


def count_frames(image: Image.Image, data: bytes) -> int:
    """Count an animation's frames or a TIFF's pages, decoding none; 1 where the file is too damaged to tell."""
    name = name_format(image)
    if name not in ANIMATED | _PAGED:
        return 1
    try:
        # Another look at the file, since walking through it leaves a picture at its end.
        counted = open_image(data) if name in _PAGED else image
        return int(getattr(counted, "n_frames", 1))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - the first frame may be whole for all that
        return 1


def check_frames(image: Image.Image, frames: int, recipe: Recipe) -> None:
    """Refuse too many frames, where they are kept too many pixels, and any animation if a preset says so."""
    limits, wants = recipe.limits, {preset.animated for preset in recipe.presets}
    if frames > limits.frames:
        raise BadPictureError(ErrorCode.IMAGE_TOO_LARGE, f"{frames} frames, more than {limits.frames}")
    if frames == 1 or name_format(image) not in ANIMATED:
        return
    if "reject" in wants:
        raise BadPictureError(ErrorCode.UNSUPPORTED_FORMAT, f"it is an animation of {frames} frames")
    pixels = frames * image.width * image.height
    if "keep" in wants and pixels > limits.animation_pixels:
        detail = (
            f"{frames} frames of {image.width} x {image.height} pixels, more than {limits.animation_pixels} in all"
        )
        raise BadPictureError(ErrorCode.IMAGE_TOO_LARGE, detail)


@contextmanager
def damage_told() -> Iterator[None]:
    """Put whatever Pillow raises on a broken file into our word for it."""
    try:
        yield
    except (MemoryError, UnidentifiedImageError):
        raise
    except Exception as fault:
        raise BadPictureError(ErrorCode.UNREADABLE_IMAGE, str(fault)[:200]) from fault
