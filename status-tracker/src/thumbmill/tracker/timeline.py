"""The events that the tracker receives. The messages of all senders become timeline events of one type."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from thumbmill.core.contracts.cloud_event import CONTENT_TYPE, CloudEvent, parse_lifecycle_event, to_cloud_event
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.contracts.events import (
    Failed,
    ProgressEvent,
    Removed,
    UploadExpired,
    UploadRequested,
)
from thumbmill.core.contracts.failure import Failure
from thumbmill.core.contracts.identity import ObjectVersion, is_upload_key
from thumbmill.core.contracts.interventions import RequestEvent, TimelineOnlyEvent
from thumbmill.core.contracts.senders import MINIO, check_sender
from thumbmill.core.contracts.storage_events import StorageEvent, parse_storage_events
from thumbmill.core.contracts.system_events import Order, SystemEvent, Watermark, WorkerAlive
from thumbmill.core.errors import MalformedEvent
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.topology import DURABLE, IMMEDIATE, LIFECYCLE, STORAGE_EVENTS, dead_letter_queue_name
from thumbmill.core.metrics import IGNORED

MAX_KEY_BYTES = 1024  # S3's limit
_FORM_UPLOAD = "ObjectCreated:Post"
STORAGE = "storage."  # the prefix of a bucket's event in the timeline: storage.ObjectCreated:Put

Payload = (
    StorageEvent | UploadRequested | UploadExpired | ProgressEvent | Removed | RequestEvent | TimelineOnlyEvent
)

# What remains of an event's data when its image is deleted: what was done, and nothing of the file, its name or its
# content. Migration 0004 has the same list, but for two names that migration 0005 changed.
RETAINED_DATA = frozenset(
    {
        *("after", "attempt", "cause", "code", "drift", "expires_at", "forced", "next_attempt_at", "operator"),
        *("queue", "run_id", "sequencer"),
    }
)


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One row of the timeline, and perhaps a reason to change the image's row."""

    id: UUID
    image_id: UUID
    key: str
    type: str
    occurred: datetime  # by its sender, but never later than now: an uploader can forge a date
    recorded_by: str  # the source: immediate, durable, /thumbnailer, /gateway
    payload: Payload
    body: bytes = field(default=b"", repr=False)  # as received

    @property
    def object_version(self) -> ObjectVersion | None:
        """The object that the event is about; None for events about no object or about its absence."""
        return getattr(self.payload, "object_version", None)

    @property
    def file_name(self) -> str | None:
        return getattr(self.payload, "file_name", None)

    @property
    def content_type(self) -> str | None:
        return getattr(self.payload, "content_type", None)

    @property
    def batch(self) -> str | None:
        return getattr(self.payload, "batch", None)

    @property
    def may_recur(self) -> bool:
        """Whether it can come again with another time, as when the thumbnailer repeats its work after a crash.

        The time of a bucket's event follows from the event, except for a forged one.
        """
        return not isinstance(self.payload, StorageEvent) or self.payload.occurred != self.occurred

    @property
    def is_removal(self) -> bool:
        payload = self.payload
        return isinstance(payload, Removed) or (isinstance(payload, StorageEvent) and payload.is_removal)

    @property
    def is_form_upload(self) -> bool:
        """Whether a presigned form of the gateway stored the file: its user may store files by POST alone."""
        payload = self.payload
        return isinstance(payload, StorageEvent) and payload.name == _FORM_UPLOAD and is_upload_key(self.key)

    @property
    def counterpart_id(self) -> UUID | None:
        """The ID under which IMMEDIATE announces what DURABLE announced; None for any other event."""
        if self.recorded_by == DURABLE and isinstance(self.payload, StorageEvent):
            return self.payload.identity(IMMEDIATE)
        return None

    @property
    def data(self) -> dict[str, Any]:
        """What the timeline shows in addition to the columns that every event has."""
        columns = {"type", "key", "object_version", "bucket", "name", "occurred", "traceparent"}
        return self.payload.model_dump(mode="json", exclude=columns, exclude_none=True)

    @property
    def retained_data(self) -> dict[str, Any]:
        """What the timeline shows of it once its image is deleted."""
        return {name: value for name, value in self.data.items() if name in RETAINED_DATA}


@dataclass(frozen=True, slots=True)
class ReceivedHeartbeat:
    """A notification target announced the tracker's own heartbeat in the bucket."""

    target: str


@dataclass(frozen=True, slots=True)
class ReceivedWatermark:
    """The tracker's own watermark came back: what was published before ``time`` has been seen."""

    id: UUID
    time: datetime


@dataclass(frozen=True, slots=True)
class ReceivedSystemEvent:
    """A heartbeat of a worker, or an order of an operator."""

    id: UUID
    time: datetime  # by its sender, but never later than now
    data: WorkerAlive | Order


Received = TimelineEvent | ReceivedWatermark | ReceivedHeartbeat | ReceivedSystemEvent


def read_message(message: Message, *, allow_unnamed: bool = False) -> list[Received]:
    """Return a message's events; events about other objects are counted and left out.

    Raise MalformedEvent, also for an event on the wrong exchange, or from a sender that may not publish it.
    ``allow_unnamed``: accept lifecycle events that name no sender.
    """
    if message.delivery_limit_queue:
        return list(_fail_after_delivery_limit(message))
    if message.delivery_routing_key.endswith(dead_letter_queue_name("")):
        IGNORED.labels("dead letter").inc()  # the thumbnailer has published what happened
        return []
    if message.exchange not in {STORAGE_EVENTS, LIFECYCLE, ""}:
        raise MalformedEvent(f"it came by the exchange {message.exchange[:100]!r}, which carries no events")
    if message.exchange == LIFECYCLE or (not message.exchange and message.content_type == CONTENT_TYPE):
        return [_read_lifecycle(message, allow_unnamed=allow_unnamed)]
    if message.sender not in {"", MINIO}:  # MinIO cannot name itself: no other user may publish these routing keys
        raise MalformedEvent(f"RabbitMQ's user {message.sender!r} may not publish the bucket's events")
    # A message that an operator put into the queue counts as DURABLE's: a missing counterpart is republished.
    target = IMMEDIATE if message.routing_key == IMMEDIATE else DURABLE
    received: list[Received] = []
    for event in parse_storage_events(message.body):
        if event.is_about_original:
            received.append(from_storage_event(event, target, message.body))
        elif event.is_heartbeat:
            received.append(ReceivedHeartbeat(target))
        else:
            IGNORED.labels("other object").inc()
    return received


def from_storage_event(event: StorageEvent, target: str, body: bytes) -> TimelineEvent:
    """Return the timeline event of what a notification target announced."""
    return TimelineEvent(
        id=event.identity(target),
        image_id=event.image_id,
        key=_checked(event.key),
        type=STORAGE + event.name,
        occurred=_not_later_than_now(event.occurred),
        recorded_by=target,
        payload=event,
        body=body,
    )


def from_lifecycle_event(event: CloudEvent, payload: Payload, body: bytes) -> TimelineEvent:
    """Return the timeline event of a lifecycle event."""
    return TimelineEvent(
        id=event.id,
        image_id=event.image_id,
        key=_checked(payload.key),
        type=event.type.value,
        occurred=_not_later_than_now(event.time),
        recorded_by=event.source,
        payload=payload,
        body=body,
    )


def _fail_after_delivery_limit(message: Message) -> Iterator[TimelineEvent]:
    """Yield a failure of each image in a message that the broker dead-lettered at its delivery limit.

    The thumbnailer could not publish these failures: it did not get the message any more.
    """
    try:
        events = parse_storage_events(message.body)
    except MalformedEvent:
        IGNORED.labels("dead letter").inc()
        return
    error = Failure.from_code(
        ErrorCode.ATTEMPTS_EXHAUSTED, "Delivered too often without a result; it may work later."
    )
    for event in events:
        if event.is_about_original and event.object_version:
            about = event.model_dump(include={"key", "object_version", "content_type", "file_name"})
            failed = Failed(**about, run_id=message.run_id, attempt=message.attempt, error=error)
            yield from_lifecycle_event(to_cloud_event(failed, by="rabbitmq"), failed, message.body)


def _read_lifecycle(message: Message, *, allow_unnamed: bool) -> Received:
    event = parse_lifecycle_event(message.body)
    check_sender(event, message.routing_key, message.sender, allow_unnamed=allow_unnamed)
    if isinstance(event.data, Watermark):
        return ReceivedWatermark(event.id, event.time)
    if isinstance(event.data, SystemEvent):
        return ReceivedSystemEvent(event.id, _not_later_than_now(event.time), event.data)
    return from_lifecycle_event(event, event.data, message.body)


def _checked(key: str) -> str:
    if not key or "\0" in key or len(key.encode(errors="replace")) > MAX_KEY_BYTES:
        raise MalformedEvent(f"no object can have the key {key[:100]!r}")
    return key


def _not_later_than_now(time: datetime) -> datetime:
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return min(aware, datetime.now(UTC))
