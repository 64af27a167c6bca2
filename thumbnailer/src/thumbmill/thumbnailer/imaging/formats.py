"""The formats that are taken, and the look at a header before anything is decoded."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from PIL import (
    AvifImagePlugin,
    GifImagePlugin,  # noqa: F401 - a plugin registers itself when imported; named here so that no other one is
    Image,
    JpegImagePlugin,  # noqa: F401
    MpoImagePlugin,  # noqa: F401
    PngImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)
from pillow_heif import register_heif_opener

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.formats import SIGNATURES, Format, Signature, detect_format
from thumbmill.thumbnailer.imaging.codecs import bmp
from thumbmill.thumbnailer.imaging.codecs.gif_blocks import read_gif
from thumbmill.thumbnailer.imaging.codecs.isobmff_repair import repair
from thumbmill.thumbnailer.imaging.codecs.png_chunks import MAX_PROFILE_BYTES
from thumbmill.thumbnailer.imaging.codecs.tiff import reader
from thumbmill.thumbnailer.imaging.codecs.tiff.ifd import count_pages
from thumbmill.thumbnailer.imaging.model import ProcessingOptions, UndecodableImageError
from thumbmill.thumbnailer.imaging.preflight import camera_raw
from thumbmill.thumbnailer.imaging.preflight.costs import FORMATS, Headers

ANIMATED: frozenset[Format] = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
_PROGRESSIVE_BYTES = 8  # a pixel: four coefficients of two bytes, where the header does not tell
_MAJOR_BRANDS = frozenset().union(*(signature.brands for signature in SIGNATURES)) - {b"MA1A", b"MA1B"}
# What Pillow, its plugins and the libraries below them raise on files that are broken: the decoders themselves, and
# Python where a plugin reads numbers that are not there or make no sense.
_DAMAGE = (
    *(OSError, SyntaxError, EOFError, ValueError, RuntimeError, struct.error, zlib.error),
    *(IndexError, KeyError, TypeError, OverflowError, ZeroDivisionError),
)


def open_image(data: bytes) -> Image.Image:
    """Read the header. The content decides the format; the file's name and type are hearsay."""
    Image.MAX_IMAGE_PIXELS = None  # ``costs`` has the limits, for every format alike
    PngImagePlugin.MAX_TEXT_CHUNK = MAX_PROFILE_BYTES  # Pillow has one limit for text and profiles
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # every core has a child of its own
    bmp.register()
    # A thumbnail inside the file may show something else than the file.
    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    signature = detect_format(data)
    if signature is None:
        raw = camera_raw.name_by_signature(data)
        raise UndecodableImageError(ErrorCode.UNSUPPORTED_FORMAT, camera_raw.explain(raw) if raw else "")
    if signature.format == "TIFF":
        return reader.open_tiff(data)
    try:
        with map_decode_errors():
            image = Image.open(BytesIO(_adapt(data, signature)), formats=[signature.format])
    except UnidentifiedImageError as fault:
        raise UndecodableImageError(ErrorCode.UNREADABLE_IMAGE, "the header is damaged") from fault
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


def read_headers(image: Image.Image, data: bytes, eighths: int, scans: int, frames: int) -> Headers:
    """Read what an opened picture will cost to decode; ``eighths``: of a JPEG's edges."""
    name = name_format(image)
    return Headers(
        name,
        image.size,
        len(data),
        has_alpha=image.has_transparency_data,
        frames=frames,
        share=eighths**2 / 64,
        scans=scans,
        kept=_count_kept(image) if scans else 0,
        samples=reader.read_cost(data) if name == "TIFF" else None,
    )


def _count_kept(image: Image.Image) -> float:
    """Count a progressive JPEG's coefficients, of two bytes, for each pixel, by its components' sampling."""
    sampling = [across * down for _, across, down, *_ in getattr(image, "layer", [])]
    return 2 * sum(sampling) / max(sampling, default=1) if sampling else _PROGRESSIVE_BYTES


def count_frames(image: Image.Image, data: bytes, most: int) -> int:
    """Count an animation's frames or a TIFF's pages, decoding none; 1 where the file is too damaged to tell.

    Pages are counted as far as one more than ``most``.
    """
    name = name_format(image)
    if name == "TIFF":
        return count_pages(data, most)
    if name not in ANIMATED:
        return 1
    if name == "GIF":
        return max(1, len(read_gif(data).frames))
    try:
        return int(getattr(image, "n_frames", 1))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - the first frame may be whole for all that
        return 1


def check_frames(image: Image.Image, frames: int, options: ProcessingOptions) -> None:
    """Refuse too many frames, where they are kept too many pixels, and any animation if a preset says so."""
    limits, wants = options.limits, {preset.animated for preset in options.presets}
    if frames > limits.frames:
        raise UndecodableImageError(ErrorCode.IMAGE_TOO_LARGE, f"{frames} frames, more than {limits.frames}")
    if frames == 1 or name_format(image) not in ANIMATED:
        return
    if "reject" in wants:
        raise UndecodableImageError(ErrorCode.UNSUPPORTED_FORMAT, f"it is an animation of {frames} frames")
    pixels = frames * image.width * image.height
    if "keep" in wants and pixels > limits.animation_pixels:
        detail = (
            f"{frames} frames of {image.width} x {image.height} pixels, more than {limits.animation_pixels} in all"
        )
        raise UndecodableImageError(ErrorCode.IMAGE_TOO_LARGE, detail)


@contextmanager
def map_decode_errors() -> Iterator[None]:
    """Put what decoders raise on a broken file into our word for it. Any other exception is a fault of the code's.

    That one goes on as it is: the picture is tried again, the log has the traceback, and the picture ends as
    ``decoder_crashed`` and not as damaged, which nobody knows it to be.
    """
    try:
        yield
    except NotImplementedError as fault:
        raise UndecodableImageError(ErrorCode.UNSUPPORTED_FORMAT, str(fault)[:200]) from fault
    except (UnidentifiedImageError, RecursionError):
        raise
    except _DAMAGE as fault:
        raise UndecodableImageError.unreadable(f"{type(fault).__name__}: {fault}") from fault
