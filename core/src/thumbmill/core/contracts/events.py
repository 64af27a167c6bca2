"""The lifecycle events: what the services publish about an image.

Each is the ``data`` of a CloudEvent (``cloud_event.py``); its type is also its routing key on ``image.lifecycle``.
Contracts change only by addition: unknown fields are ignored, and a removed field means a new event type.
"""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, Field, model_validator

from thumbmill.core.contracts.base import EventType, FrozenModel
from thumbmill.core.contracts.batch import Batch
from thumbmill.core.contracts.failure import Failure
from thumbmill.core.contracts.identity import ObjectVersion, image_id_of
from thumbmill.core.contracts.image_details import ImageDetails
from thumbmill.core.contracts.interventions import RequestEvent, TimelineOnlyEvent
from thumbmill.core.contracts.system_events import SystemEvent
from thumbmill.core.contracts.variants import find_variant_error
from thumbmill.core.text import sanitize_file_name

FileName = Annotated[str, AfterValidator(sanitize_file_name)]  # None if sanitizing leaves nothing


class Variant(FrozenModel):
    """An image made from the original by one preset."""

    type: str  # the preset's name
    key: str  # in the bucket of variants
    width: int  # pixels
    height: int  # pixels
    bytes: int
    content_type: str


class UploadRequested(FrozenModel):
    """The gateway issued a presigned form for one key."""

    type: Literal[EventType.REQUESTED] = EventType.REQUESTED
    key: str
    file_name: FileName | None = None
    content_type: str
    expires_at: AwareDatetime
    batch: Batch = None  # the client's label of uploads that belong together


class UploadExpired(FrozenModel):
    """A ticket expired, or its client aborted the upload; nothing had been uploaded with it."""

    type: Literal[EventType.EXPIRED] = EventType.EXPIRED
    key: str
    expires_at: AwareDatetime


class _ObjectEvent(FrozenModel):
    """The fields of every event about one object. Each event has all, because events may arrive in any order."""

    key: str
    object_version: ObjectVersion  # ETag, size and time of the object that the event is about
    content_type: str | None = None
    file_name: FileName | None = None
    run_id: str = ""  # when the run was requested, ISO 8601, so that runs sort by time; empty: the first
    attempt: int = Field(1, ge=1)  # within the run


class Processing(_ObjectEvent):
    """The thumbnailer has started to process the object."""

    type: Literal[EventType.PROCESSING] = EventType.PROCESSING


class Retrying(_ObjectEvent):
    """An attempt failed for a reason that may be temporary."""

    type: Literal[EventType.RETRYING] = EventType.RETRYING
    next_attempt_at: datetime
    reason: str


class Done(_ObjectEvent):
    """Every variant is in the bucket."""

    type: Literal[EventType.DONE] = EventType.DONE
    sha256: str
    width: int  # pixels, as displayed
    height: int  # pixels, as displayed
    format: str
    variants: list[Variant]
    details: ImageDetails | None = None  # None from thumbnailers that read no details yet
    damaged: bool = False  # parts of the original could not be read, and the settings accept that

    @model_validator(mode="after")
    def _check_variants(self) -> Self:
        image_id = image_id_of(self.key)
        for variant in self.variants:
            if error := find_variant_error(variant.key, variant.content_type, image_id):
                raise ValueError(error)
        return self


class Failed(_ObjectEvent):
    """The image cannot be processed: this object will have no variants."""

    type: Literal[EventType.FAILED] = EventType.FAILED
    error: Failure


class Removed(FrozenModel):
    """The object was deleted, and its variants with it."""

    type: Literal[EventType.REMOVED] = EventType.REMOVED
    key: str
    cause: str  # the sequencer of the bucket event that reported the removal


ProgressEvent = Processing | Retrying | Done | Failed
# Requests for a new run, and events that change no state: dead letters, repairs and rejected objects.
LifecycleEvent = (
    UploadRequested | UploadExpired | ProgressEvent | Removed | RequestEvent | TimelineOnlyEvent | SystemEvent
)
