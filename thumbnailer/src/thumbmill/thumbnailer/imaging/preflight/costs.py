"""Estimate the cost of decoding an image from its headers, and reject images that cost too much.

The limits are memory and CPU time, and not pixels alone: 200 megapixels of a JPEG for a small variant take less
than 12 megapixels of a HEIF. docs/decisions/012-slow-pictures.md describes how the numbers were measured, and how
good an estimate is.
"""

from dataclasses import dataclass

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.formats import Format
from thumbmill.thumbnailer.imaging.model import Cost, Limits, SlowImageError, UndecodableImageError


@dataclass(frozen=True)
class PixelCost:
    """The cost of decoding and resizing one pixel of a format: the maximum of its modes, as measured."""

    memory_bytes: float
    nanoseconds: float  # of CPU time


FORMATS: dict[Format, PixelCost] = {
    "JPEG": PixelCost(12, 15),  # a pixel at the scale at which it is decoded
    "PNG": PixelCost(13, 20),
    "GIF": PixelCost(9, 15),
    "WEBP": PixelCost(17.1, 33),
    "BMP": PixelCost(9, 8),
    "TIFF": PixelCost(13, 25),
    "AVIF": PixelCost(10, 48),
    "HEIF": PixelCost(13, 51),
}
_OPAQUE_PIXEL_BYTES: dict[Format, float] = {"HEIF": 8}  # without alpha
_BASE_BYTES = 208 * 1024 * 1024  # the interpreter and all libraries take 155 MB of address space, half of it numpy
_COPIES_OF_FILE = 2
_NANOSECONDS_PER_BYTE = 12  # of a JPEG's data: its entropy decoding
_NANOSECONDS_PER_SCAN = 1.4  # for each pixel of a progressive JPEG
_MARGIN = 2  # an estimate must be below a limit by this factor: other machines are slower
_PIXELS_WITH_ALL_SCANS = 25_000_000  # a larger image may have fewer scans
_MIN_SCANS = 20


@dataclass(frozen=True)
class SampleCost:
    """The cost of samples of any depth and number, besides that of a format's pixels."""

    peak_bytes: int  # besides the file
    nanoseconds: float  # of CPU time


@dataclass(frozen=True)
class Headers:
    """What determines an image's cost, as read from its headers."""

    format: Format
    size: tuple[int, int]  # pixels
    file_bytes: int
    has_alpha: bool = True
    frames: int = 1  # that are decoded
    decoded_share: float = 1  # of the pixels; a JPEG can be decoded at a smaller scale
    scans: int = 0  # of a progressive JPEG; each passes over all pixels
    coefficient_bytes: float = 0  # for each pixel, that a progressive JPEG keeps until its last scan
    samples: SampleCost | None = None  # of a TIFF

    @property
    def pixels(self) -> int:
        return self.size[0] * self.size[1]


def estimate_cost(headers: Headers) -> Cost:
    """Estimate the cost of an image."""
    pixel_cost, pixels = FORMATS[headers.format], headers.pixels
    pixel_bytes = pixel_cost.memory_bytes
    if not headers.has_alpha:
        pixel_bytes = _OPAQUE_PIXEL_BYTES.get(headers.format, pixel_bytes)
    memory = pixels * (headers.coefficient_bytes + pixel_bytes * headers.decoded_share)
    nanoseconds = pixels * pixel_cost.nanoseconds * headers.decoded_share * headers.frames
    nanoseconds += pixels * headers.scans * _NANOSECONDS_PER_SCAN
    if headers.samples:
        memory = max(memory, headers.samples.peak_bytes)
        nanoseconds = max(nanoseconds, headers.samples.nanoseconds)
    if headers.format == "JPEG":
        nanoseconds += headers.file_bytes * _NANOSECONDS_PER_BYTE
    return Cost(nanoseconds / 1e9, _BASE_BYTES + _COPIES_OF_FILE * headers.file_bytes + int(memory))


def check_cost(headers: Headers, limits: Limits, *, slow: bool) -> None:
    """Reject an image that would take too many resources, before it takes them.

    Raise UndecodableImageError. Unless ``slow`` is set, raise SlowImageError if it costs more than an ordinary one.
    """
    check_pixels(headers.size, limits)
    cost = estimate_cost(headers)
    image = f"{headers.size[0]} x {headers.size[1]} pixels of {headers.format}"
    if cost.memory_bytes > limits.memory_bytes:
        detail = f"{image} need {cost.memory_bytes >> 20} MiB to decode, more than {limits.memory_bytes >> 20} MiB"
        raise UndecodableImageError(ErrorCode.IMAGE_TOO_LARGE, detail)
    if cost.seconds * _MARGIN > limits.seconds:
        allowed_seconds = limits.seconds / _MARGIN
        detail = f"{image} need about {cost.seconds:.1f} s of CPU time to decode, more than {allowed_seconds:g} s"
        raise UndecodableImageError(ErrorCode.IMAGE_TOO_LARGE, detail)
    if slow:
        return
    if cost.seconds * _MARGIN > limits.ordinary_seconds or cost.memory_bytes > limits.ordinary_memory_bytes:
        raise SlowImageError(cost)


def check_size(size: tuple[int, int], name: Format, limits: Limits, *, slow: bool) -> None:
    """Reject a size that a header declares, before a library allocates it. Raise what ``check_cost`` raises.

    The rest of the file may show that it costs less. So this checks the lowest cost of such a size: a JPEG may be
    decoded at a small scale.
    """
    share = 0 if name == "JPEG" else 1
    check_cost(Headers(name, size, file_bytes=0, has_alpha=False, decoded_share=share), limits, slow=slow)


def check_pixels(size: tuple[int, int], limits: Limits) -> None:
    """Reject an image of too many pixels."""
    width, height = size
    if width * height > limits.pixels:
        raise UndecodableImageError(
            ErrorCode.IMAGE_TOO_LARGE, f"{width} x {height} pixels exceed the limit of {limits.pixels} pixels"
        )


def check_scans(scans: int, pixels: int, limits: Limits) -> None:
    """Reject a progressive JPEG of too many scans: each passes over the whole image, and 20 bytes suffice for one.

    Cameras and libraries write about ten, whatever the size.
    """
    limit = limits.jpeg_scans
    if pixels > _PIXELS_WITH_ALL_SCANS:
        limit = min(limit, max(_MIN_SCANS, limit * _PIXELS_WITH_ALL_SCANS // pixels))
    if scans > limit:
        raise UndecodableImageError(
            ErrorCode.UNREADABLE_IMAGE, f"it is a progressive JPEG of more than {limit} scans"
        )
