"""The envelope of lifecycle events: CloudEvents 1.0 in structured JSON, with ids that follow from the content."""

import uuid
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import to_json

from thumbmill.core.contracts.base import EventType, FrozenModel
from thumbmill.core.contracts.events import LifecycleEvent, Removed, UploadExpired, UploadRequested
from thumbmill.core.contracts.identity import event_id, image_id_of, is_idempotent
from thumbmill.core.contracts.interventions import (
    DriftRepaired,
    Dropped,
    ObjectRejected,
    Redriven,
    RetryRequested,
    VariantsMissing,
)
from thumbmill.core.contracts.system_events import SystemEvent
from thumbmill.core.errors import MalformedEvent, one_line_error

CONTENT_TYPE = "application/cloudevents+json"
_LIFECYCLE: TypeAdapter[LifecycleEvent] = TypeAdapter(Annotated[LifecycleEvent, Field(discriminator="type")])


class CloudEvent(FrozenModel):
    """A lifecycle event with its envelope; ``subject`` is the image's id, empty for a system event."""

    id: uuid.UUID
    source: str  # the producer: /thumbnailer
    time: datetime
    subject: str = ""
    traceparent: str | None = None
    data: LifecycleEvent

    @property
    def type(self) -> EventType:
        return self.data.type

    @property
    def image_id(self) -> uuid.UUID:
        """The image that the event is about. Raise ValueError if it is about none."""
        return uuid.UUID(self.subject)

    def to_json(self) -> bytes:
        """Return the message's body."""
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
    """Wrap an event in its envelope; ``by`` names the producer."""
    return CloudEvent(
        id=_event_id(data),
        source=f"/{by}",
        time=now or datetime.now(UTC),
        subject="" if isinstance(data, SystemEvent) else str(image_id_of(data.key)),
        traceparent=traceparent,
        data=data,
    )


def _event_id(data: LifecycleEvent) -> uuid.UUID:
    """Return an id that depends on what happened and not on when, so that a repeated event has the same one.

    The ids of two types contain the names that version 0.1 gave them, so that stored ids stay valid.
    """
    if isinstance(data, SystemEvent):
        return uuid.uuid4()  # each one is a new event
    image_id = image_id_of(data.key)
    match data:
        case UploadRequested() | UploadExpired():
            # A ticket with an idempotency key may be renewed, and each one expires.
            renewal = [data.expires_at.isoformat()] if is_idempotent(image_id) else []
            return event_id(data.key, data.type.value, *renewal)
        case Removed():
            return event_id(image_id, data.cause, data.type.value)
        case DriftRepaired():
            return event_id(image_id, data.drift, data.run_id, "tracker.healed")
        case RetryRequested():
            return event_id(image_id, data.object_version, data.after, data.type.value)
        case VariantsMissing():
            return event_id(image_id, data.object_version, data.run_id, data.type.value)
        case ObjectRejected():
            return event_id(image_id, data.object_version, "tracker.withdrawn")
        case Redriven() | Dropped():
            return event_id(image_id, data.queue, data.run_id, data.type.value)
        case _:
            return event_id(image_id, data.object_version, data.run_id, data.attempt, data.type.value)


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
    """Parse a message's body. Raise MalformedEvent, even for a valid type that is newer than this version."""
    try:
        envelope = _Envelope.model_validate_json(body)
        event_type = envelope.type.removeprefix("thumbmill.").removesuffix(".v1")
        data = _LIFECYCLE.validate_python({**envelope.data, "type": event_type})
        if not isinstance(data, SystemEvent) and str(image_id_of(data.key)) != envelope.subject:
            raise MalformedEvent(f"subject {envelope.subject!r} is not the id of key {data.key!r}")
    except (ValidationError, ValueError) as error:
        raise MalformedEvent(one_line_error(error)) from error
    # All of it is validated: validating the data twice would take a quarter of the time.
    return CloudEvent.model_construct(
        id=envelope.id,
        source=envelope.source,
        time=envelope.time,
        subject=envelope.subject,
        traceparent=envelope.traceparent,
        data=data,
    )
