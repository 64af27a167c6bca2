"""EXIF metadata. All of it is untrusted, and damaged metadata does not make an image fail."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from PIL import ExifTags, Image

from thumbmill.core.text import sanitize_text
from thumbmill.thumbnailer.imaging.geometry import Size
from thumbmill.thumbnailer.imaging.model import GeoPoint

_MAX_TEXT = 100  # characters; names of cameras and lenses have up to 60
_DATE_TIME = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)", re.ASCII)
_OFFSET = re.compile(r"[+-](0[0-9]|1[0-4]):([0-5][0-9])")  # no time zone is further than 14 hours from UTC
_TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_NORMAL, _FIRST_WITH_SWAPPED_EDGES = 1, 5

T = TypeVar("T")


@dataclass(frozen=True)
class Exif:
    """The EXIF metadata that is used."""

    orientation: int = _NORMAL  # 1 to 8, see ``_TRANSPOSITIONS``
    taken_at: str | None = None  # ISO 8601, without an offset if the camera recorded none
    camera: str | None = None
    lens: str | None = None
    gps: GeoPoint | None = None

    def orient(self, size: Size) -> Size:
        """Convert a size from before the orientation is applied to after it, or back."""
        return (size[1], size[0]) if self.orientation >= _FIRST_WITH_SWAPPED_EDGES else size


def read_exif(image: Image.Image, *, keep_gps: bool) -> Exif:
    """Read the metadata that is safe to publish; the GPS position only if ``keep_gps`` is set.

    A TIFF has the normal orientation, because Pillow applies it while loading. For other formats Pillow would also
    take the orientation from XMP or text, which browsers and libvips ignore.
    """
    exif = _ignore_errors(image.getexif if image.format == "TIFF" else lambda: _load(image.info.get("exif")))
    if not exif:
        return Exif()
    exif_ifd = _ignore_errors(lambda: exif.get_ifd(ExifTags.IFD.Exif)) or {}
    orientation = None if image.format == "TIFF" else _ignore_errors(lambda: _orientation(exif))
    return Exif(
        orientation=orientation or _NORMAL,
        taken_at=_ignore_errors(lambda: _taken_at(exif_ifd)),
        camera=_ignore_errors(lambda: _camera(exif)),
        lens=_ignore_errors(lambda: _text(exif_ifd.get(ExifTags.Base.LensModel))),
        gps=_ignore_errors(lambda: _position(exif.get_ifd(ExifTags.IFD.GPSInfo))) if keep_gps else None,
    )


def apply_orientation(image: Image.Image, orientation: int) -> Image.Image:
    """Rotate and mirror an image as its orientation asks for."""
    transposition = _TRANSPOSITIONS.get(orientation)
    return image if transposition is None else image.transpose(transposition)


def _load(data: object) -> Image.Exif | None:
    if not isinstance(data, bytes):
        return None
    exif = Image.Exif()
    exif.load(data)
    return exif


def _ignore_errors(read: Callable[[], T | None]) -> T | None:
    try:
        return read()
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - on a damaged file the EXIF parser raises any exception
        return None


def _orientation(exif: Image.Exif) -> int | None:
    value = exif.get(ExifTags.Base.Orientation)
    return value if isinstance(value, int) and 1 <= value <= 8 else None


def _camera(exif: Image.Exif) -> str | None:
    """Return the make and the model. The names of many models begin with the make."""
    make, model = _text(exif.get(ExifTags.Base.Make)), _text(exif.get(ExifTags.Base.Model))
    if make and model and not model.lower().startswith(make.lower()):
        return f"{make} {model}"
    return model or make


def _taken_at(exif_ifd: dict[int, Any]) -> str | None:
    """Return when an image was taken, or None for an impossible date or time."""
    match = _DATE_TIME.fullmatch(_text(exif_ifd.get(ExifTags.Base.DateTimeOriginal)) or "")
    if not match:
        return None
    try:
        year, month, day, hour, minute, second = map(int, match.groups())
        taken_at = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - the offset is another tag
    except ValueError:
        return None
    offset = _text(exif_ifd.get(ExifTags.Base.OffsetTimeOriginal)) or ""
    return taken_at.isoformat() + (offset if _OFFSET.fullmatch(offset) else "")


def _text(value: object) -> str | None:
    """Return the text of a tag up to a NUL, sanitized; None if it is empty or no text."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        return None
    return sanitize_text(text.split("\0")[0], _MAX_TEXT) or None


def _position(gps: dict[int, Any]) -> GeoPoint | None:
    latitude = _degrees(gps[ExifTags.GPS.GPSLatitude], gps[ExifTags.GPS.GPSLatitudeRef], "S")
    longitude = _degrees(gps[ExifTags.GPS.GPSLongitude], gps[ExifTags.GPS.GPSLongitudeRef], "W")
    return GeoPoint(latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 180 else None


def _degrees(parts: Any, reference: str, negative: str) -> float:
    degrees, minutes, seconds = (float(part) for part in parts)
    value = degrees + minutes / 60 + seconds / 3600
    return round(-value if reference.upper().startswith(negative) else value, 6)  # 0.1 m
