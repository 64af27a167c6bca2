"""The options and the result of image processing. Both processes import this module, so it imports no Pillow."""

import json
import re
from dataclasses import asdict, dataclass, field
from typing import Literal, Self

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.formats import Format
from thumbmill.thumbnailer.presets.model import Preset

ContentType = Literal["image/jpeg", "image/webp", "image/avif", "image/png"]

_MIN_MEMORY = 512 * 1024 * 1024  # bytes; the interpreter and its libraries take 155 MB of that

EXTENSIONS: dict[ContentType, str] = {
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/avif": "avif",
    "image/png": "png",
}


@dataclass(frozen=True)
class Limits:
    """The resources that one image may take."""

    file_bytes: int
    pixels: int
    memory_bytes: int  # address space of the whole decoder process
    seconds: float  # of CPU time
    stall_seconds: float = 30  # without any CPU time and without a response
    jpeg_scans: int = 100  # of a progressive JPEG; cameras and libraries write about ten
    frames: int = 1000
    animation_pixels: int = 100_000_000  # of all frames together, where a preset keeps them

    @property
    def ordinary_seconds(self) -> float:
        """Return the CPU time that an ordinary image may take; a slow one may take all of it."""
        return self.seconds / 6

    @property
    def ordinary_memory_bytes(self) -> int:
        """Return the address space that an ordinary image may take; a slow one may take all of it."""
        return min(self.memory_bytes, max(self.memory_bytes // 2, _MIN_MEMORY))


@dataclass(frozen=True)
class ProcessingOptions:
    """The limits of a decoder process, and the variants that it makes of every image."""

    limits: Limits
    presets: tuple[Preset, ...]
    keep_gps: bool = False  # publish where an image was taken
    keep_damaged: bool = False  # decode what is left of a damaged file, and mark the image as damaged

    def to_json(self) -> str:
        """Serialize the options for a decoder process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse the output of ``to_json``."""
        fields = json.loads(text)
        presets = tuple(Preset(**preset) for preset in fields.pop("presets"))
        return cls(limits=Limits(**fields.pop("limits")), presets=presets, **fields)


@dataclass(frozen=True)
class GeoPoint:
    """Where an image was taken, in degrees north and east."""

    latitude: float
    longitude: float


@dataclass(frozen=True)
class Details:
    """What is known of an original besides its size. The texts come from the file, and are shortened."""

    frames: int  # of an animation, or pages of a TIFF
    has_alpha: bool  # at least one pixel is not opaque
    colour_space: str  # sRGB, Grey, CMYK, the name in the profile, or the name of the code points: "BT.2020 PQ"
    dominant_colour: str  # #rrggbb
    thumbhash: str  # a blurred preview of 21 to 25 bytes, in base64
    taken_at: str | None = None  # ISO 8601, with an offset if the camera recorded one
    camera: str | None = None
    lens: str | None = None
    gps: GeoPoint | None = None  # only with ``keep_gps``


@dataclass(frozen=True)
class EncodedVariant:
    """One variant, ready to be stored."""

    preset: str
    content_type: ContentType
    width: int  # pixels
    height: int  # pixels
    data: bytes = field(repr=False)

    @property
    def extension(self) -> str:
        return EXTENSIONS[self.content_type]


@dataclass(frozen=True)
class ImageResult:
    """An original, with its size after EXIF orientation, and its variants."""

    format: Format
    width: int  # pixels
    height: int  # pixels
    variants: list[EncodedVariant]
    details: Details
    damaged: bool = False


@dataclass(frozen=True)
class Cost:
    """The resources that decoding an image will take, as estimated from its headers."""

    seconds: float  # of CPU time
    memory_bytes: int  # of address space, including what a decoder process takes without an image


class SlowImageError(Exception):
    """The image is within the limits, but would delay others. Process it in the slow lane."""

    def __init__(self, cost: Cost) -> None:
        super().__init__(f"about {cost.seconds:.1f} s of CPU time and {cost.memory_bytes >> 20} MiB")
        self.cost = cost


_MAX_CAUSE = 200  # characters
# Texts of Pillow and the libraries below it about files whose end is missing.
_TRUNCATED = re.compile(
    r"truncat|premature end of (jpeg )?file|unexpected end|\beof(error)?\b|not enough|too short|scans are missing",
    re.IGNORECASE,
)


class UndecodableImageError(Exception):
    """The file is damaged, unsupported or too large. Another attempt cannot succeed.

    ``detail`` is for users, and continues the message of the code. ``cause`` is the text of a library, for the log.
    """

    def __init__(self, code: ErrorCode, detail: str = "", *, cause: str = "") -> None:
        super().__init__(code, detail, cause)
        self.code = code
        self.detail = detail
        self.cause = cause

    @classmethod
    def unreadable(cls, cause: str, *, truncated: bool = False) -> "UndecodableImageError":
        """Describe a damaged file. ``truncated`` is for callers that know it; the cause can show it too."""
        detail = "the file is truncated" if truncated or _TRUNCATED.search(cause) else ""
        return cls(ErrorCode.UNREADABLE_IMAGE, detail, cause=cause[:_MAX_CAUSE])
