"""The lifecycle events: what the services say of an image.

Contracts change only by addition: unknown fields are ignored, a removed field means a new event type.
"""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import to_json

from thumbmill.core.contracts.base import EventType, FrozenModel
from thumbmill.core.contracts.error_codes import MESSAGES, RETRYABLE, ErrorCode
from thumbmill.core.contracts.identity import ObjectVersion, event_id, image_id_of
from thumbmill.core.contracts.image_details import ImageDetails
from thumbmill.core.contracts.interventions import (
    DriftRepaired,
    Dropped,
    ObjectRejected,
    Redriven,
    RetryRequested,
    VariantsMissing,
)
from thumbmill.core.contracts.variants import find_variant_error
from thumbmill.core.errors import MalformedEvent, one_line_error
from thumbmill.core.text import sanitize_file_name

CONTENT_TYPE = "application/cloudevents+json"


class Variant(FrozenModel):
    """One picture made from the original."""

    type: str  # the preset's name
    key: str
    width: int  # pixels
    height: int  # pixels
    bytes: int
    content_type: str


FileName = Annotated[str, AfterValidator(sanitize_file_name)]  # None where nothing is left of it


class UploadRequested(FrozenModel):
    """The gateway handed out a form for one key."""

    type: Literal[EventType.REQUESTED] = EventType.REQUESTED
    key: str
    file_name: FileName | None = None
    content_type: str
    expires_at: datetime


class _ObjectEvent(FrozenModel):
    """Complete in itself, since it may arrive before the event that announced the object."""

    key: str
    object_version: ObjectVersion
    content_type: str | None = None
    file_name: FileName | None = None
    run_id: str = ""  # names a reprocessing; later runs sort after earlier ones, the first is empty
    attempt: int = Field(1, ge=1)


class Processing(_ObjectEvent):
    """The thumbnailer began."""

    type: Literal[EventType.PROCESSING] = EventType.PROCESSING


class Retrying(_ObjectEvent):
    """An attempt failed for a reason that may pass."""

    type: Literal[EventType.RETRYING] = EventType.RETRYING
    next_attempt_at: datetime
    reason: str


class Done(_ObjectEvent):
    """Every variant is in the bucket."""

    type: Literal[EventType.DONE] = EventType.DONE
    sha256: str
    width: int  # pixels, as shown
    height: int  # pixels, as shown
    format: str
    variants: list[Variant]
    details: ImageDetails | None = None  # of the original; none from thumbnailers that did not look yet
    damaged: bool = False  # parts of the original could not be read, and it was to be shown all the same

    @model_validator(mode="after")
    def _check_variants(self) -> Self:
        image_id = image_id_of(self.key)
        for variant in self.variants:
            if fault := find_variant_error(variant.key, variant.content_type, image_id):
                raise ValueError(fault)
        return self


class Failure(FrozenModel):
    """What the API shows as ``error``."""

    code: ErrorCode
    detail: str
    retryable: bool

    @classmethod
    def from_code(cls, code: ErrorCode, detail: str = "") -> "Failure":
        """Describe a code in a sentence; the detail adds what is particular to this picture, or is one itself."""
        meaning = MESSAGES[code]
        if detail and not detail.endswith("."):
            detail = f"{meaning.removesuffix('.')}: {detail}."
        return cls(code=code, detail=detail or meaning, retryable=code in RETRYABLE)


class Failed(_ObjectEvent):
    """There will be no variants of this source."""

    type: Literal[EventType.FAILED] = EventType.FAILED
    error: Failure


class Removed(FrozenModel):
    """The object is gone, and its variants with it. ``cause`` is the sequencer of the event that told."""

    type: Literal[EventType.REMOVED] = EventType.REMOVED
    key: str
    cause: str


class Watermark(FrozenModel):
    """The tracker's mark in its own queue: everything published before ``time`` was ahead of it."""

    type: Literal[EventType.WATERMARK] = EventType.WATERMARK


ProgressEvent = Processing | Retrying | Done | Failed
RequestEvent = RetryRequested | VariantsMissing
TimelineOnlyEvent = Redriven | Dropped | DriftRepaired | ObjectRejected
LifecycleEvent = UploadRequested | ProgressEvent | Removed | RequestEvent | TimelineOnlyEvent | Watermark
_LIFECYCLE: TypeAdapter[LifecycleEvent] = TypeAdapter(Annotated[LifecycleEvent, Field(discriminator="type")])


class CloudEvent(FrozenModel):
    """CloudEvents 1.0, structured JSON; ``subject`` is the image's id."""

    id: uuid.UUID
    source: str  # who says it: /thumbnailer
    time: datetime
    subject: str = ""
    traceparent: str | None = None
    data: LifecycleEvent

    @property
    def type(self) -> EventType:
        return self.data.type

    @property
    def image_id(self) -> uuid.UUID:
        """The image spoken of; raises ValueError for an event about none."""
        return uuid.UUID(self.subject)

    def to_json(self) -> bytes:
        """Write the message's body."""
        envelope: dict[str, Any] = {
            "specversion": "1.0",
            "id": str(self.id),
            "source": self.source,
            "type": self.type.cloud_event_type,
            "time": self.time.isoformat(),
            "datacontenttype": "application/json",
            "data": self.data.model_dump(mode="json", exclude={"type"}),
        }
        envelope |= {"subject": self.subject} if self.subject else {}
        envelope |= {"traceparent": self.traceparent} if self.traceparent else {}
        return to_json(envelope)


def to_cloud_event(
    data: LifecycleEvent, *, by: str, traceparent: str | None = None, now: datetime | None = None
) -> CloudEvent:
    """Wrap what a service has to say; the id follows from what is said, not from when."""
    now = now or datetime.now(UTC)
    match data:
        case Watermark():
            return CloudEvent(id=uuid.uuid4(), source=f"/{by}", time=now, data=data)
        case UploadRequested():
            identity = event_id(data.key, data.type.value)
        case Removed():
            identity = event_id(image_id_of(data.key), data.cause, data.type.value)
        case DriftRepaired():
            identity = event_id(image_id_of(data.key), data.what, data.run_id, data.type.value)
        case RetryRequested():
            identity = event_id(image_id_of(data.key), data.object_version, data.after, data.type.value)
        case VariantsMissing():
            identity = event_id(image_id_of(data.key), data.object_version, data.run_id, data.type.value)
        case ObjectRejected():
            identity = event_id(image_id_of(data.key), data.object_version, data.type.value)
        case Redriven() | Dropped():
            identity = event_id(image_id_of(data.key), data.queue, data.run_id, data.type.value)
        case _:
            identity = event_id(
                image_id_of(data.key), data.object_version, data.run_id, data.attempt, data.type.value
            )
    subject = str(image_id_of(data.key))
    return CloudEvent(id=identity, source=f"/{by}", time=now, subject=subject, traceparent=traceparent, data=data)


class _Envelope(FrozenModel):
    specversion: Literal["1.0"]
    id: uuid.UUID
    source: str
    type: str
    time: datetime
    subject: str = ""
    traceparent: str | None = None
    data: dict[str, Any]


def parse_lifecycle_event(body: bytes) -> CloudEvent:
    """Read a lifecycle event. Raises NotAnEvent, also for a type that this version does not know."""
    try:
        envelope = _Envelope.model_validate_json(body)
        event_type = envelope.type.removeprefix("thumbmill.").removesuffix(".v1")
        data = _LIFECYCLE.validate_python({**envelope.data, "type": event_type})
        if not isinstance(data, Watermark) and str(image_id_of(data.key)) != envelope.subject:
            raise MalformedEvent(f"subject {envelope.subject!r} is not the id of key {data.key!r}")
    except (ValidationError, ValueError) as fault:
        raise MalformedEvent(one_line_error(fault)) from fault
    return CloudEvent(
        id=envelope.id,
        source=envelope.source,
        time=envelope.time,
        subject=envelope.subject,
        traceparent=envelope.traceparent,
        data=data,
    )
