"""What a decoder is told and what it answers: no pixels and no Pillow here, since both processes import it."""

from dataclasses import dataclass, field
from typing import Literal

from pipeline.errors import ErrorCode

Format = Literal["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "HEIF"]
ContentType = Literal["image/jpeg", "image/webp"]


@dataclass(frozen=True)
class Limits:
    """What one picture may cost."""

    file_bytes: int
    pixels: int
    memory_bytes: int  # address space of the child as a whole
    seconds: float  # CPU and wall clock
    jpeg_scans: int = 100  # of a progressive one; cameras and libraries write about ten
    faults: bool = False  # tests only: pictures may ask the child to fail


@dataclass(frozen=True)
class Rendition:
    """One variant, ready to be stored."""

    preset: str
    content_type: ContentType
    width: int  # pixels
    height: int  # pixels
    data: bytes = field(repr=False)

    @property
    def extension(self) -> str:
        return "jpg" if self.content_type == "image/jpeg" else "webp"


@dataclass(frozen=True)
class Picture:
    """An original as it is shown, that is after its orientation, and what was made of it."""

    format: Format
    width: int  # pixels
    height: int  # pixels
    renditions: list[Rendition]


class BadPictureError(Exception):
    """The bytes are at fault; another try cannot help."""

    def __init__(self, code: ErrorCode, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
