"""What is found out about an original beside its size. SanitizedText come from its file: believe them as you like."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from thumbmill.core.contracts.base import FrozenModel

MAX_TEXT_CHARS = (
    200  # characters of what a file says of itself: cameras say less, a stranger's file may say anything
)


def _tame(text: object) -> object:
    """Make a stranger's words harmless: one line, of bounded length, that JSON and Postgres can hold."""
    if not isinstance(text, str):
        return text
    printable = "".join(sign if sign.isprintable() else " " for sign in text[: 4 * MAX_TEXT_CHARS])
    return " ".join(printable.split())[:MAX_TEXT_CHARS].rstrip()


SanitizedText = Annotated[str, BeforeValidator(_tame)]


class GeoPoint(FrozenModel):
    """Where a picture was taken, as WGS 84."""

    latitude: float = Field(ge=-90, le=90, description="Degrees, north is positive")
    longitude: float = Field(ge=-180, le=180, description="Degrees, east is positive")


class ImageDetails(FrozenModel):
    """What was found out about an original beside its size. SanitizedText come from the file: believe them as you like."""

    frames: int = Field(ge=1, description="Frames of an animation, pages of a TIFF; else 1")
    has_alpha: bool = Field(description="Whether something shows through")
    colour_space: SanitizedText = Field(
        description="As the file says, before it was made sRGB", examples=["Display P3"]
    )
    dominant_colour: SanitizedText = Field(description="`#rrggbb`, to fill the place until the picture is there")
    thumbhash: SanitizedText = Field(
        description="ThumbHash of the picture as shown, base64: a blur in some 25 bytes"
    )
    taken_at: SanitizedText | None = Field(
        None, description="ISO 8601, by the camera's clock; with an offset only if the file has one"
    )
    camera: SanitizedText | None = Field(None, description="Maker and model", examples=["Fairphone FP4"])
    lens: SanitizedText | None = None
    gps: GeoPoint | None = Field(None, description="Only where the setting `EXPOSE_GPS` says so")
