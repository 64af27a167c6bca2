"""The properties of an original beyond its size. Texts come from the file: they are cleaned, not checked."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from thumbmill.core.contracts.base import FrozenModel
from thumbmill.core.text import sanitize_text

MAX_TEXT_CHARS = 200  # characters of a text in a file; cameras write less, an untrusted file may hold any amount


def _sanitize(value: object) -> object:
    return sanitize_text(value, MAX_TEXT_CHARS) if isinstance(value, str) else value


SanitizedText = Annotated[str, BeforeValidator(_sanitize)]


class GeoPoint(FrozenModel):
    """A position in WGS 84."""

    latitude: float = Field(ge=-90, le=90, description="Degrees, north is positive")
    longitude: float = Field(ge=-180, le=180, description="Degrees, east is positive")


class ImageDetails(FrozenModel):
    """Properties of an original beyond its size. Texts come from the file; nothing in them is verified."""

    frames: int = Field(ge=1, description="Frames of an animation, pages of a TIFF; else 1")
    has_alpha: bool = Field(description="Whether any pixel is transparent")
    colour_space: SanitizedText = Field(
        description="Named in the file, before conversion to sRGB", examples=["Display P3"]
    )
    dominant_colour: SanitizedText = Field(description="`#rrggbb`, a placeholder until the image is loaded")
    thumbhash: SanitizedText = Field(
        description="ThumbHash of the image as displayed, base64: a blurred preview in some 25 bytes"
    )
    taken_at: SanitizedText | None = Field(
        None, description="ISO 8601, by the camera's clock; with an offset only if the file has one"
    )
    camera: SanitizedText | None = Field(None, description="Maker and model", examples=["Fairphone FP4"])
    lens: SanitizedText | None = None
    gps: GeoPoint | None = Field(None, description="Present only if the setting `EXPOSE_GPS` is on")
