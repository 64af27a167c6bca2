"""What EXIF tells of a picture. Every byte of it is a stranger's: damaged metadata spoil no picture."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from PIL import ExifTags, Image

from thumbmill.core.text import sanitize_text
from thumbmill.thumbnailer.imaging.geometry import Size
from thumbmill.thumbnailer.imaging.model import GeoPoint

_MAX_TEXT = 100  # characters; cameras and lenses have names of up to 60
_MOMENT = re.compile(r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)", re.ASCII)
_OFFSET = re.compile(r"[+-](0[0-9]|1[0-4]):([0-5][0-9])")  # no zone is further than 14 hours from UTC
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_UPRIGHT, _FIRST_ON_ITS_SIDE = 1, 5

T = TypeVar("T")


@dataclass(frozen=True)
class Exif:
    """What is used of a picture's EXIF."""

    orientation: int = _UPRIGHT  # 1 to 8, see ``_TURNS``
    taken_at: str | None = None  # ISO 8601, without an offset if the camera knew none
    camera: str | None = None
    lens: str | None = None
    gps: GeoPoint | None = None

    def orient(self, size: Size) -> Size:
        """Give a size as it is after turning, or as it was before."""
        return (size[1], size[0]) if self.orientation >= _FIRST_ON_ITS_SIDE else size


def read_exif(image: Image.Image, *, keep_gps: bool) -> Exif:
    """Read what is safe to tell, and where the picture was taken only if that is wanted.

    A TIFF counts as upright, since Pillow turns it by itself when it loads it. Pillow's own look at others would
    take an orientation out of XMP or text too, where browsers and libvips do not look.
    """
    exif = _spared(image.getexif if image.format == "TIFF" else lambda: _load(image.info.get("exif")))
    if not exif:
        return Exif()
    of_shot = _spared(lambda: exif.get_ifd(ExifTags.IFD.Exif)) or {}
    return Exif(
        orientation=(_spared(lambda: _orientation(exif)) or _UPRIGHT) if image.format != "TIFF" else _UPRIGHT,
        taken_at=_spared(lambda: _moment(of_shot)),
        camera=_spared(lambda: _camera(exif)),
        lens=_spared(lambda: _text(of_shot.get(ExifTags.Base.LensModel))),
        gps=_spared(lambda: _place(exif.get_ifd(ExifTags.IFD.GPSInfo))) if keep_gps else None,
    )


def apply_orientation(image: Image.Image, orientation: int) -> Image.Image:
    """Turn or mirror a picture so that it is shown as it was seen."""
    way = _TURNS.get(orientation)
    return image if way is None else image.transpose(way)


def _load(data: object) -> Image.Exif | None:
    if not isinstance(data, bytes):
        return None
    exif = Image.Exif()
    exif.load(data)
    return exif


def _spared(read: Callable[[], T | None]) -> T | None:
    try:
        return read()
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - EXIF's parser raises whatever a broken file leads it to
        return None


def _orientation(exif: Image.Exif) -> int | None:
    value = exif.get(ExifTags.Base.Orientation)
    return value if isinstance(value, int) and 1 <= value <= 8 else None


def _camera(exif: Image.Exif) -> str | None:
    """Name maker and model; many a model's name begins with the maker's."""
    make, model = _text(exif.get(ExifTags.Base.Make)), _text(exif.get(ExifTags.Base.Model))
    if make and model and not model.lower().startswith(make.lower()):
        return f"{make} {model}"
    return model or make


def _moment(of_shot: dict[int, Any]) -> str | None:
    """Give when a picture was taken; None for what no calendar or clock has shown."""
    found = _MOMENT.fullmatch(_text(of_shot.get(ExifTags.Base.DateTimeOriginal)) or "")
    if not found:
        return None
    try:
        year, month, day, hour, minute, second = map(int, found.groups())
        moment = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - the offset is another field
    except ValueError:
        return None
    offset = _text(of_shot.get(ExifTags.Base.OffsetTimeOriginal)) or ""
    return moment.isoformat() + (offset if _OFFSET.fullmatch(offset) else "")


def _text(value: object) -> str | None:
    """Clean a text: one line, printable, short."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        return None
    return sanitize_text(text.split("\0")[0], _MAX_TEXT) or None


def _place(gps: dict[int, Any]) -> GeoPoint | None:
    latitude = _degrees(gps[ExifTags.GPS.GPSLatitude], gps[ExifTags.GPS.GPSLatitudeRef], "S")
    longitude = _degrees(gps[ExifTags.GPS.GPSLongitude], gps[ExifTags.GPS.GPSLongitudeRef], "W")
    return GeoPoint(latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 180 else None


def _degrees(parts: Any, side: str, negative: str) -> float:
    degrees, minutes, seconds = (float(part) for part in parts)
    value = degrees + minutes / 60 + seconds / 3600
    return round(-value if side.upper().startswith(negative) else value, 6)  # 0.1 m
