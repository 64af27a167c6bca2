"""What a decoder is told and what it answers: no pixels and no Pillow here, since both processes import it."""

import json
import re
from dataclasses import asdict, dataclass, field
from typing import Literal, Self

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.formats import Format
from thumbmill.thumbnailer.presets.model import Preset

ContentType = Literal["image/jpeg", "image/webp", "image/avif", "image/png"]

_LEAST_MEMORY = 512 * 1024 * 1024  # bytes; the interpreter and its libraries have 155 MB of that

EXTENSIONS: dict[ContentType, str] = {
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/avif": "avif",
    "image/png": "png",
}


@dataclass(frozen=True)
class Limits:
    """What one picture may cost."""

    file_bytes: int
    pixels: int
    memory_bytes: int  # address space of the child as a whole
    seconds: float  # of CPU time
    stall_seconds: float = 30  # without any CPU time, and yet no answer
    jpeg_scans: int = 100  # of a progressive one; cameras and libraries write about ten
    frames: int = 1000
    animation_pixels: int = 100_000_000  # of all frames together, where a preset keeps them

    @property
    def ordinary_seconds(self) -> float:
        """Give the CPU time that a picture may take beside others; a slow one may take all."""
        return self.seconds / 6

    @property
    def ordinary_memory_bytes(self) -> int:
        """Give the address space that a picture may take beside others."""
        return min(self.memory_bytes, max(self.memory_bytes // 2, _LEAST_MEMORY))


@dataclass(frozen=True)
class ProcessingOptions:
    """What a child makes of every picture."""

    limits: Limits
    presets: tuple[Preset, ...]
    keep_gps: bool = False  # tell where a picture was taken
    keep_damaged: bool = False  # make what can be made of a damaged file, and say so

    def to_json(self) -> str:
        """Write it for a child."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what ``to_json`` wrote."""
        fields = json.loads(text)
        presets = tuple(Preset(**preset) for preset in fields.pop("presets"))
        return cls(limits=Limits(**fields.pop("limits")), presets=presets, **fields)


@dataclass(frozen=True)
class GeoPoint:
    """Where a picture was taken, in degrees, north and east of zero."""

    latitude: float
    longitude: float


@dataclass(frozen=True)
class Details:
    """What was learned of the original beside its size; texts are what its maker wrote, shortened."""

    frames: int  # of an animation, or pages of a TIFF
    has_alpha: bool  # something shows through
    colour_space: str  # sRGB, Grey, CMYK, or as the profile calls itself, or what code points mean: "BT.2020 PQ"
    dominant_colour: str  # #rrggbb
    thumbhash: str  # a blurred preview of 21 to 25 bytes, in base64
    taken_at: str | None = None  # ISO 8601, with an offset if the camera knew it
    camera: str | None = None
    lens: str | None = None
    gps: GeoPoint | None = None  # only if the recipe keeps it


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
    """An original as it is shown, that is after its orientation, and what was made of it."""

    format: Format
    width: int  # pixels
    height: int  # pixels
    variants: list[EncodedVariant]
    details: Details
    damaged: bool = False


@dataclass(frozen=True)
class Cost:
    """What decoding a picture will take, as estimated from its headers."""

    seconds: float  # of CPU time
    memory_bytes: int  # of address space, with everything that a child has anyway


class SlowImageError(Exception):
    """A picture that is within the limits, but would hold up the others: it goes where it can't."""

    def __init__(self, cost: Cost) -> None:
        super().__init__(f"about {cost.seconds:.1f} s of CPU time and {cost.memory_bytes >> 20} MiB")
        self.cost = cost


_LONGEST_CAUSE = 200  # characters
# What Pillow and the libraries below it say of files whose end is missing.
_ENDS_EARLY = re.compile(
    r"truncat|premature end of (jpeg )?file|unexpected end|\beof(error)?\b|not enough|too short|scans are missing",
    re.IGNORECASE,
)


class UndecodableImageError(Exception):
    """The bytes are at fault; another try cannot help.

    ``detail`` is for people and goes on where the code's meaning ends; ``cause``, a library's text, is for the log.
    """

    def __init__(self, code: ErrorCode, detail: str = "", *, cause: str = "") -> None:
        super().__init__(code, detail, cause)
        self.code = code
        self.detail = detail
        self.cause = cause

    @classmethod
    def unreadable(cls, cause: str, *, ends_early: bool = False) -> "UndecodableImageError":
        """Say in our words what a library said of a broken file, or what is known besides."""
        detail = "it ends too early" if ends_early or _ENDS_EARLY.search(cause) else ""
        return cls(ErrorCode.UNREADABLE_IMAGE, detail, cause=cause[:_LONGEST_CAUSE])
