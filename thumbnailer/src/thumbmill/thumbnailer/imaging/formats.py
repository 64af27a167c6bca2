"""The supported formats: open a file and read its headers, before any pixel is decoded."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from PIL import (
    AvifImagePlugin,
    GifImagePlugin,  # noqa: F401 - a plugin registers itself when imported; these imports keep out all others
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
_DEFAULT_COEFFICIENT_BYTES = 8  # a pixel: four coefficients of two bytes, if the sampling is unknown
_MAJOR_BRANDS = frozenset().union(*(signature.brands for signature in SIGNATURES)) - {b"MA1A", b"MA1B"}
# What Pillow, its plugins and the libraries below them raise for damaged files: errors of the decoders, and errors
# of Python where a plugin reads numbers that are missing or impossible.
_DECODE_ERRORS = (
    *(OSError, SyntaxError, EOFError, ValueError, RuntimeError, struct.error, zlib.error),
    *(IndexError, KeyError, TypeError, OverflowError, ZeroDivisionError),
)


def open_image(data: bytes) -> Image.Image:
    """Open a file and read its header. The format is that of the content, whatever its name or type claims."""
    Image.MAX_IMAGE_PIXELS = None  # ``preflight.costs`` limits all formats alike
    PngImagePlugin.MAX_TEXT_CHUNK = MAX_PROFILE_BYTES  # Pillow has one limit for text and profiles
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1  # one decoder process for each core
    bmp.register()
    # A thumbnail inside the file may show something else than the image.
    register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    signature = detect_format(data)
    if signature is None:
        raw_format = camera_raw.name_by_signature(data)
        raise UndecodableImageError(
            ErrorCode.UNSUPPORTED_FORMAT, camera_raw.explain(raw_format) if raw_format else ""
        )
    if signature.format == "TIFF":
        return reader.open_tiff(data)
    try:
        with map_decode_errors():
            image = Image.open(BytesIO(_patch_header(data, signature)), formats=[signature.format])
    except UnidentifiedImageError as error:
        raise UndecodableImageError(ErrorCode.UNREADABLE_IMAGE, "the header is damaged") from error
    image.info.pop("xmp", None)  # Pillow would take a TIFF's orientation from it
    return image


def _patch_header(data: bytes, signature: Signature) -> bytes:
    """Patch headers that Pillow, or the library below it, does not accept or misinterprets."""
    if signature.format == "WEBP":
        return _set_alpha_flag(data)
    if signature.brands:
        data = repair(data)
    if signature.brands and data[8:12] not in _MAJOR_BRANDS:  # Pillow reads the major brand only
        return data[:8] + signature.content_type.removeprefix("image/").encode() + data[12:]
    return data


def _set_alpha_flag(data: bytes) -> bytes:
    """Set the alpha flag of an animated WebP: without it, uncovered parts of the first frame turn black.

    Writers omit the flag where each single frame is opaque. Both flags are those of the VP8X chunk.
    """
    if data[12:16] != b"VP8X" or len(data) < 21 or not data[20] & 0x02:
        return data
    return data[:20] + bytes((data[20] | 0x10,)) + data[21:]


def name_format(image: Image.Image) -> Format:
    """Return an image's format. MPO is a JPEG followed by further ones, which many cameras write."""
    return next((name for name in FORMATS if name == image.format), "JPEG")


def read_headers(image: Image.Image, data: bytes, eighths: int, scans: int, frames: int) -> Headers:
    """Collect what determines the cost of decoding an image. A JPEG is decoded at ``eighths`` of its edges."""
    name = name_format(image)
    return Headers(
        name,
        image.size,
        len(data),
        has_alpha=image.has_transparency_data,
        frames=frames,
        decoded_share=eighths**2 / 64,
        scans=scans,
        coefficient_bytes=_count_coefficient_bytes(image) if scans else 0,
        samples=reader.read_cost(data) if name == "TIFF" else None,
    )


def _count_coefficient_bytes(image: Image.Image) -> float:
    """Return the bytes for each pixel of a progressive JPEG's coefficients, by the sampling of its components."""
    sampling = [horizontal * vertical for _, horizontal, vertical, *_ in getattr(image, "layer", [])]
    return 2 * sum(sampling) / max(sampling, default=1) if sampling else _DEFAULT_COEFFICIENT_BYTES


def count_frames(image: Image.Image, data: bytes, limit: int) -> int:
    """Count the frames of an animation or the pages of a TIFF without decoding them. Return 1 if it is too damaged.

    Pages are counted up to one more than ``limit``.
    """
    name = name_format(image)
    if name == "TIFF":
        return count_pages(data, limit)
    if name not in ANIMATED:
        return 1
    if name == "GIF":
        return max(1, len(read_gif(data).frames))
    try:
        return int(getattr(image, "n_frames", 1))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - the first frame may still be intact
        return 1


def check_frames(image: Image.Image, frames: int, options: ProcessingOptions) -> None:
    """Reject too many frames, too many pixels of a kept animation, and any animation if a preset rejects them."""
    limits, modes = options.limits, {preset.animated for preset in options.presets}
    if frames > limits.frames:
        raise UndecodableImageError(
            ErrorCode.IMAGE_TOO_LARGE, f"{frames} frames exceed the limit of {limits.frames}"
        )
    if frames == 1 or name_format(image) not in ANIMATED:
        return
    if "reject" in modes:
        raise UndecodableImageError(
            ErrorCode.UNSUPPORTED_FORMAT, f"it is an animation of {frames} frames, and animations are not accepted"
        )
    pixels = frames * image.width * image.height
    if "keep" in modes and pixels > limits.animation_pixels:
        detail = (
            f"{frames} frames of {image.width} x {image.height} pixels exceed the limit"
            f" of {limits.animation_pixels} pixels for an animation"
        )
        raise UndecodableImageError(ErrorCode.IMAGE_TOO_LARGE, detail)


@contextmanager
def map_decode_errors() -> Iterator[None]:
    """Map what decoders raise for a damaged file to UndecodableImageError.

    Any other exception is a bug and propagates: the image is tried again, the log has the traceback, and the image
    fails as ``decoder_crashed``, because nothing shows that the file is damaged.
    """
    try:
        yield
    except NotImplementedError as error:
        raise UndecodableImageError(ErrorCode.UNSUPPORTED_FORMAT, str(error)[:200]) from error
    except (UnidentifiedImageError, RecursionError):
        raise
    except _DECODE_ERRORS as error:
        raise UndecodableImageError.unreadable(f"{type(error).__name__}: {error}") from error
