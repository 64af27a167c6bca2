"""What decoding a picture will cost, estimated from its headers, and what follows from that.

A picture is judged by the memory and the CPU time that it will take, not by its pixels alone: 200 megapixels of a
JPEG that is wanted small take less than 12 of a HEIF. How the numbers were measured, and what an estimate is good
for: docs/decisions/012-slow-pictures.md.
"""

from dataclasses import dataclass

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.formats import Format
from thumbmill.thumbnailer.imaging.model import Cost, Limits, SlowImageError, UndecodableImageError


@dataclass(frozen=True)
class Kind:
    """What decoding and resizing a format's files takes for each pixel: the most of any mode, measured."""

    bytes_per_pixel: float
    nanoseconds_per_pixel: float  # of CPU time


FORMATS: dict[Format, Kind] = {
    "JPEG": Kind(12, 15),  # at the scale it is decoded at
    "PNG": Kind(13, 20),
    "GIF": Kind(9, 15),
    "WEBP": Kind(17.1, 33),
    "BMP": Kind(9, 8),
    "TIFF": Kind(13, 25),
    "AVIF": Kind(10, 48),
    "HEIF": Kind(13, 51),
}
_OPAQUE: dict[Format, float] = {"HEIF": 8}  # bytes for each pixel, where there is no alpha
_BASE_BYTES = 208 * 1024 * 1024  # the interpreter and all libraries take 155 MB of address space, half of it numpy
_COPIES = 2  # of the file
_NANOSECONDS_PER_BYTE = 12  # of a JPEG's data: its entropy decoding
_NANOSECONDS_PER_VISIT = 1.4  # of a progressive JPEG's pixel by one scan
_MARGIN = 2  # an estimate has to be so many times below a limit: other machines are slower
_WHOLE_SCANS = 25_000_000  # pixels; a larger picture may have fewer scans
_LEAST_SCANS = 20


@dataclass(frozen=True)
class SampleCost:
    """What samples take that can be of any depth and number, beside what a format's pixels take in any case."""

    peak_bytes: int  # beside the file
    nanoseconds: float  # of CPU time


@dataclass(frozen=True)
class Headers:
    """What a picture's headers say of its cost."""

    format: Format
    size: tuple[int, int]  # pixels
    file_bytes: int
    has_alpha: bool = True
    frames: int = 1  # those that will be decoded
    share: float = 1  # of the pixels, that come of a JPEG at so many eighths of its edges
    scans: int = 0  # of a progressive JPEG, each of which is a walk over the picture
    kept: float = 0  # bytes for each pixel that a progressive JPEG keeps until its last scan
    samples: SampleCost | None = None  # of a TIFF

    @property
    def pixels(self) -> int:
        return self.size[0] * self.size[1]


def estimate_cost(headers: Headers) -> Cost:
    """Estimate what a picture will take."""
    kind, pixels = FORMATS[headers.format], headers.pixels
    weight = kind.bytes_per_pixel if headers.has_alpha else _OPAQUE.get(headers.format, kind.bytes_per_pixel)
    memory = pixels * (headers.kept + weight * headers.share)
    nanoseconds = pixels * kind.nanoseconds_per_pixel * headers.share * headers.frames
    nanoseconds += pixels * headers.scans * _NANOSECONDS_PER_VISIT
    if headers.samples:
        memory = max(memory, headers.samples.peak_bytes)
        nanoseconds = max(nanoseconds, headers.samples.nanoseconds)
    if headers.format == "JPEG":
        nanoseconds += headers.file_bytes * _NANOSECONDS_PER_BYTE
    return Cost(nanoseconds / 1e9, _BASE_BYTES + _COPIES * headers.file_bytes + int(memory))


def check_cost(headers: Headers, limits: Limits, *, slow: bool) -> None:
    """Refuse what would take too much, before it does.

    Raises UndecodableImageError; SlowImageError for what an ordinary picture may not take, unless ``slow``.
    """
    check_pixels(headers.size, limits)
    cost = estimate_cost(headers)
    what = f"{headers.size[0]} x {headers.size[1]} pixels of {headers.format}"
    if cost.memory_bytes > limits.memory_bytes:
        detail = f"{what} take {cost.memory_bytes >> 20} MiB to decode, more than {limits.memory_bytes >> 20}"
        raise UndecodableImageError(ErrorCode.IMAGE_TOO_LARGE, detail)
    if cost.seconds * _MARGIN > limits.seconds:
        detail = f"{what} take about {cost.seconds:.1f} s to decode, more than {limits.seconds / _MARGIN:g}"
        raise UndecodableImageError(ErrorCode.IMAGE_TOO_LARGE, detail)
    if slow:
        return
    if cost.seconds * _MARGIN > limits.ordinary_seconds or cost.memory_bytes > limits.ordinary_memory_bytes:
        raise SlowImageError(cost)


def check_size(size: tuple[int, int], name: Format, limits: Limits, *, slow: bool) -> None:
    """Refuse a size that some header claims, before a library believes it. Raises as ``check_cost`` does."""
    # Of a JPEG few pixels may come, and what else a file has may show to be cheaper: so the least that it can be.
    share = 0 if name == "JPEG" else 1
    check_cost(Headers(name, size, file_bytes=0, has_alpha=False, share=share), limits, slow=slow)


def check_pixels(size: tuple[int, int], limits: Limits) -> None:
    """Refuse too large a picture."""
    width, height = size
    if width * height > limits.pixels:
        raise UndecodableImageError(
            ErrorCode.IMAGE_TOO_LARGE, f"{width} x {height} pixels, more than {limits.pixels}"
        )


def check_scans(scans: int, pixels: int, limits: Limits) -> None:
    """Refuse a progressive JPEG of too many scans: each costs a walk over the picture, and 20 bytes make one.

    Cameras and libraries write about ten, whatever the size.
    """
    most = limits.jpeg_scans
    if pixels > _WHOLE_SCANS:
        most = min(most, max(_LEAST_SCANS, most * _WHOLE_SCANS // pixels))
    if scans > most:
        raise UndecodableImageError(ErrorCode.UNREADABLE_IMAGE, f"it is progressive in more than {most} scans")
