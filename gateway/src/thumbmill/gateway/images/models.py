"""Response bodies of the API."""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field

from thumbmill.core.contracts.failure import Failure
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET
from thumbmill.core.contracts.image_details import ImageDetails
from thumbmill.core.contracts.status import Status

# Postgres returns times in the time zone of its session, which a role, a database or PGTZ can set.
Time = Annotated[datetime, AfterValidator(lambda time: time.astimezone(UTC))]


class VariantOut(BaseModel):
    """One file of the image: the original, or a variant that was made from it."""

    type: str = Field(description="`original`, or the name of a preset", examples=["thumbnail"])
    content_type: str = Field(description="Content type of the response at `url`", examples=["image/jpeg"])
    bytes: int | None = None
    width: int | None = Field(None, description="Pixels")
    height: int | None = Field(None, description="Pixels")
    url: str = Field(description="URL that needs a key with the scope `read`, or a session")
    signed_url: str | None = Field(
        None,
        description="URL of a variant that needs no key, for pages and shared caches; it expires, and is the same "
        "for a day; null for the original, without the scope `sign`, and if the gateway has no signing keys",
    )


class ImageOut(BaseModel):
    """An image, its state and its variants."""

    id: uuid.UUID
    status: Status
    file_name: str | None = Field(None, description="File name that the client sent", examples=["cat.jpg"])
    key: str | None = Field(
        description="Object key in the bucket `images-original`; null for a deleted image whose client chose it"
    )
    content_type: str | None = Field(None, description="Content type of the original as declared at its upload")
    bytes: int | None = Field(None, description="Size of the original")
    format: str | None = Field(None, description="Format of the decoded original", examples=["JPEG"])
    width: int | None = Field(None, description="Width of the original in pixels, after rotation")
    height: int | None = Field(None, description="Height of the original in pixels, after rotation")
    sha256: str | None = Field(
        None, description="SHA-256 of the original's bytes, 64 hex digits; set when the image is DONE"
    )
    details: ImageDetails | None = Field(None, description="Further properties of the original")
    damaged: bool = Field(
        default=False,
        description="Whether parts of the original could not be decoded; only if `ACCEPT_DAMAGED` is on, otherwise "
        "such an image is FAILED",
    )
    variants: list[VariantOut]
    missing: list[str] = Field(
        default_factory=list, description="Types of variants that were lost and are being created again"
    )
    batch: str | None = Field(None, description="Label of the batch of uploads that the image belongs to")
    generation: int = Field(1, description="Number of objects that were stored under this key so far")
    attempts: int = Field(description="Number of times that processing started")
    next_attempt_at: Time | None = None
    error: Failure | None = None
    created_at: Time
    updated_at: Time
    expires_at: Time | None = Field(None, description="End of the time in which the ticket can be used")
    version: int = Field(
        0, description="Grows with every change; 0 until the status tracker has recorded the image"
    )
    event_id: str | None = Field(
        None, description="Id of the last change, with which streams and lists of changes continue"
    )


class ImagePage(BaseModel):
    """One page of images, newest first."""

    items: list[ImageOut]
    next: str | None = Field(None, description="Value of `cursor` for the next page; null on the last page")


class TimelineEventOut(BaseModel):
    """An event of an image."""

    id: uuid.UUID
    type: str = Field(examples=["image.done"])
    object_version: str | None = Field(None, description="Object that the event is about: ETag, size and time")
    occurred: Time
    recorded: Time
    recorded_by: str = Field(description="Source of the event", examples=["/thumbnailer", "immediate"])
    data: dict[str, Any] | None = None


class Timeline(BaseModel):
    """The events of an image in the order in which they occurred."""

    items: list[TimelineEventOut]
    event_id: str | None = Field(None, description="Id of the image's last change that these events may explain")


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


class ExistingImage(BaseModel):
    """An image that is there already, so that nothing needs to be uploaded."""

    id: uuid.UUID
    status: Status
    key: str | None
    url: str
    duplicate_of: uuid.UUID | None = Field(
        None, description="The id, if the image was found by its bytes; null if it was by its Idempotency-Key"
    )


class RetryAccepted(BaseModel):
    """An image that will be processed again."""

    id: uuid.UUID
    status: Status
    url: str


class DeletionAccepted(BaseModel):
    """An image whose object was deleted; its status changes later."""

    id: uuid.UUID
    status: Status
    key: str | None
