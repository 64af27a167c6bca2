"""What the API answers with, as its description shows it."""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field

from thumbmill.core.contracts.error_codes import Failure
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET
from thumbmill.core.contracts.image_details import ImageDetails
from thumbmill.core.contracts.status import Status

# Postgres gives times in its session's zone, which a role, a database or PGTZ may set.
Time = Annotated[datetime, AfterValidator(lambda time: time.astimezone(UTC))]


class VariantOut(BaseModel):
    """One form of the picture: the original, or something made from it."""

    type: str = Field(description="`original`, or a preset's name", examples=["thumbnail"])
    content_type: str = Field(description="As the URL gives it")
    bytes: int | None = None
    width: int | None = Field(None, description="Pixels")
    height: int | None = Field(None, description="Pixels")
    url: str


class ImageOut(BaseModel):
    """An image, its state and its variants."""

    id: uuid.UUID
    status: Status
    file_name: str | None = Field(None, description="As the client named it", examples=["cat.jpg"])
    key: str | None = Field(
        description="In the bucket of originals; null once an image is deleted whose key its client chose"
    )
    content_type: str | None = Field(None, description="Of the original, as it was declared when it was stored")
    bytes: int | None = Field(None, description="Of the original")
    format: str | None = Field(None, description="As decoded", examples=["JPEG"])
    width: int | None = Field(None, description="Pixels, as shown")
    height: int | None = Field(None, description="Pixels, as shown")
    sha256: str | None = Field(None, description="Of the original's bytes, 64 hex digits; known once it is DONE")
    details: ImageDetails | None = Field(None, description="What else was found out about the original")
    damaged: bool = Field(
        default=False,
        description="Parts of the original could not be read; only where `ACCEPT_DAMAGED` is on, else it is FAILED",
    )
    variants: list[VariantOut]
    missing: list[str] = Field(
        default_factory=list, description="Types of variants that were lost and are being made again"
    )
    generation: int = Field(1, description="Counts the objects that were stored under this key")
    attempts: int = Field(description="How often processing began")
    next_attempt_at: Time | None = None
    error: Failure | None = None
    created_at: Time
    updated_at: Time
    expires_at: Time | None = Field(None, description="Until when a ticket's form can be used")


class ImagePage(BaseModel):
    """Images, newest first."""

    items: list[ImageOut]
    next: str | None = Field(None, description="Give this as `cursor` for the next page")


class TimelineEventOut(BaseModel):
    """Something that became known of an image."""

    id: uuid.UUID
    type: str = Field(examples=["image.done"])
    object_version: str | None = Field(None, description="Which object it speaks of: ETag, size and time")
    occurred: Time
    recorded: Time
    recorded_by: str = Field(description="Who said it", examples=["/thumbnailer", "immediate"])
    data: dict[str, Any] | None = None


class Timeline(BaseModel):
    """What became known of an image, in the order in which it happened."""

    items: list[TimelineEventOut]


class Accepted(BaseModel):
    """An image that is stored and will be processed."""

    id: uuid.UUID
    status: Status = Status.PENDING
    file_name: str | None
    bucket: str = ORIGINALS_BUCKET
    key: str
    content_type: str
    bytes: int
    url: str


class RetryAccepted(BaseModel):
    """An image that is tried again."""

    id: uuid.UUID
    status: Status
    url: str


class DeletionAccepted(BaseModel):
    """An image whose object was deleted; its status follows."""

    id: uuid.UUID
    status: Status
    key: str | None
