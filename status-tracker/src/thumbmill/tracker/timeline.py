"""What the tracker is told. A message becomes facts of one shape, whoever sent it."""

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
    RequestEvent,
    TimelineOnlyEvent,
    UploadRequested,
    Watermark,
)
from thumbmill.core.contracts.failure import Failure
from thumbmill.core.contracts.identity import ObjectVersion, upload_key
from thumbmill.core.contracts.senders import MINIO, check_sender
from thumbmill.core.contracts.storage_events import StorageEvent, parse_storage_events
from thumbmill.core.errors import MalformedEvent
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.topology import DURABLE, IMMEDIATE, LIFECYCLE, STORAGE_EVENTS, dead_letter_queue_name
from thumbmill.core.metrics import IGNORED

KEY_BYTES = 1024  # S3's limit
_BY_FORM = "ObjectCreated:Post"
STORAGE = "storage."  # what a bucket's event is called in the timeline: storage.ObjectCreated:Put

Said = StorageEvent | UploadRequested | ProgressEvent | Removed | RequestEvent | TimelineOnlyEvent

# What stays of a fact's data when its image is deleted: of what was done, and nothing of the file, its name or what
# was found in it. Migration 0004 names the same.
RETAINED_DATA = frozenset(
    {
        *("after", "attempt", "cause", "code", "expires_at", "forced", "next_attempt_at", "operator", "queue"),
        *("run_id", "sequencer", "what"),
    }
)


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """One row of the timeline, and perhaps a reason to change the image's row."""

    id: UUID
    image_id: UUID
    key: str
    type: str
    occurred: datetime  # as its author says, but never later than now: an uploader can forge a date
    recorded_by: str  # who told: immediate, durable, /thumbnailer, /gateway
    payload: Said
    body: bytes = field(default=b"", repr=False)  # as it came

    @property
    def object_version(self) -> ObjectVersion | None:
        """The object spoken of; None where the fact is about none or about its absence."""
        return getattr(self.payload, "object_version", None)

    @property
    def is_removal(self) -> bool:
        return isinstance(self.payload, Removed) or (
            isinstance(self.payload, StorageEvent) and self.payload.is_removal
        )

    @property
    def is_form_upload(self) -> bool:
        """Tell whether somebody used a form of the gateway's: its signer may send files by POST alone."""
        payload = self.payload
        return (
            isinstance(payload, StorageEvent) and payload.name == _BY_FORM and self.key == upload_key(self.image_id)
        )

    @property
    def counterpart_id(self) -> UUID | None:
        """Under which id IMMEDIATE announces what DURABLE announced; None for any other fact."""
        if self.recorded_by == DURABLE and isinstance(self.payload, StorageEvent):
            return self.payload.identity(IMMEDIATE)
        return None

    @property
    def data(self) -> dict[str, Any]:
        """What the timeline shows beside the columns that it has for everything."""
        shown_elsewhere = {"type", "key", "object_version", "bucket", "name", "occurred", "traceparent"}
        return self.payload.model_dump(mode="json", exclude=shown_elsewhere, exclude_none=True)

    @property
    def retained_data(self) -> dict[str, Any]:
        """What the timeline shows of it once its image is deleted."""
        return {name: value for name, value in self.data.items() if name in RETAINED_DATA}


@dataclass(frozen=True, slots=True)
class ReceivedHeartbeat:
    """A target told of the tracker's own heartbeat in the bucket."""

    target: str


@dataclass(frozen=True, slots=True)
class ReceivedWatermark:
    """The tracker's own watermark came back: what was published before ``time`` has been seen."""

    id: UUID
    time: datetime


def read(
    message: Message, *, allow_unnamed: bool = False
) -> list[TimelineEvent | ReceivedWatermark | ReceivedHeartbeat]:
    """Say what a message tells; events that are not for us are counted and left out.

    Raises NotAnEvent, also for what comes by another way than its kind, or from somebody who may not say it;
    ``allow_unnamed``: lifecycle events that name no author are believed.
    """
    if message.delivery_limit_queue:
        return list(_from_given_up(message))
    if message.delivery_routing_key.endswith(dead_letter_queue_name("")):
        IGNORED.labels("dead letter").inc()  # the thumbnailer has told what there is to tell
        return []
    if message.exchange not in {STORAGE_EVENTS, LIFECYCLE, ""}:
        raise MalformedEvent(
            f"it came by the exchange {message.exchange[:100]!r}, where nobody speaks to the tracker"
        )
    if message.exchange == LIFECYCLE or (not message.exchange and message.content_type == CONTENT_TYPE):
        return [_from_lifecycle(message, allow_unnamed=allow_unnamed)]
    if message.sender not in {"", MINIO}:  # which cannot name itself: nobody else may publish these keys there
        raise MalformedEvent(f"the bucket's events are not for RabbitMQ's user {message.sender!r} to tell")
    # A message that somebody put in by hand is taken for the ledger's: then a missing twin is made up for.
    target = IMMEDIATE if message.routing_key == IMMEDIATE else DURABLE
    facts: list[TimelineEvent | ReceivedWatermark | ReceivedHeartbeat] = []
    for event in parse_storage_events(message.body):
        if event.is_ours:
            facts.append(from_storage_event(event, target, message.body))
        elif event.is_heartbeat:
            facts.append(ReceivedHeartbeat(target))
        else:
            IGNORED.labels("not ours").inc()
    return facts


def from_storage_event(event: StorageEvent, target: str, body: bytes) -> TimelineEvent:
    """Make a fact of what a notification target announced."""
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


def _from_given_up(message: Message) -> Iterator[TimelineEvent]:
    """Say of a message that the broker took from the thumbnailer what the thumbnailer could not: it has failed."""
    try:
        events = parse_storage_events(message.body)
    except MalformedEvent:
        IGNORED.labels("dead letter").inc()
        return
    error = Failure.from_code(
        ErrorCode.ATTEMPTS_EXHAUSTED, "Delivered too often without a result; it may work later."
    )
    for event in events:
        if event.is_ours and event.object_version:
            about = event.model_dump(include={"key", "object_version", "content_type", "file_name"})
            failed = Failed(**about, run_id=message.run_id, attempt=message.attempt, error=error)
            yield from_lifecycle_event(to_cloud_event(failed, by="rabbitmq"), failed, message.body)


def _from_lifecycle(message: Message, *, allow_unnamed: bool) -> TimelineEvent | ReceivedWatermark:
    event = parse_lifecycle_event(message.body)
    check_sender(event, message.routing_key, message.sender, allow_unnamed=allow_unnamed)
    if isinstance(event.data, Watermark):
        return ReceivedWatermark(event.id, event.time)
    return from_lifecycle_event(event, event.data, message.body)


def from_lifecycle_event(event: CloudEvent, payload: Said, body: bytes) -> TimelineEvent:
    """Make a fact of what a lifecycle event says."""
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


def _checked(key: str) -> str:
    if not key or "\0" in key or len(key.encode(errors="replace")) > KEY_BYTES:
        raise MalformedEvent(f"no object can have the key {key[:100]!r}")
    return key


def _not_later_than_now(time: datetime) -> datetime:
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return min(aware, datetime.now(UTC))
