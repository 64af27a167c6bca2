"""Reading a dead letter queue, removing messages from it one by one, and what a dead letter says.

What is read and not removed is requeued when the connection ends, however it ends. RabbitMQ counts that as a
delivery, so dead letter queues have a delivery limit that is never reached (in ``definitions.py``).
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

from pika import BlockingConnection
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker

from thumbmill.core.contracts.cloud_event import CONTENT_TYPE, parse_lifecycle_event
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, ObjectVersion, image_id_of
from thumbmill.core.contracts.storage_events import parse_storage_events
from thumbmill.core.contracts.system_events import SystemEvent
from thumbmill.core.errors import DependencyRejected, DependencyUnavailable, MalformedEvent, error_message
from thumbmill.core.messaging.message import (
    CODE,
    DEAD_LETTERED_AT,
    REASON,
    ROUTING_KEY,
    Message,
    find_delivery_limit_queue,
    x_death_records,
)
from thumbmill.core.messaging.publisher import connect
from thumbmill.core.messaging.topology import dead_letter_queue_name
from thumbmill.core.settings import BrokerSettings

MALFORMED_EVENT, DELIVERY_LIMIT, UNKNOWN = "malformed_event", "delivery_limit", "unknown"
_ID_DIGITS = 12  # 48 bits: enough to distinguish dead letters


@dataclass(frozen=True)
class RawDeadLetter:
    """A message in a dead letter queue."""

    queue: str
    body: bytes
    content_type: str = ""
    message_id: str | None = None
    headers: dict[str, Any] = field(default_factory=dict)
    tag: int = 0  # the delivery tag in this reader's channel


class DeadLetterReader:
    """A connection that holds dead letters unacknowledged; use it in a ``with`` block, in one thread.

    Every method raises DependencyUnavailable, or DependencyRejected if RabbitMQ denies access.
    """

    def __init__(self, broker: BrokerSettings, name: str) -> None:
        self._connection: BlockingConnection = connect(broker, name)
        self._channel: BlockingChannel | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection, which requeues what was not removed."""
        try:
            if self._connection.is_open:
                self._connection.close()
        except (AMQPError, OSError):
            pass  # RabbitMQ notices a lost connection as well

    def peek(self, queue: str) -> Iterator[RawDeadLetter]:
        """Yield the messages that are in a queue now. Each is held until it is removed, or the reader is closed."""
        remaining: int | None = None
        while remaining is None or remaining > 0:
            with _map_errors():
                method, properties, body = self._open().basic_get(queue)
            if method is None:
                return
            # Stop after the messages of the start: one that is dead-lettered again is at the end of the queue.
            remaining = method.message_count if remaining is None else remaining - 1
            yield RawDeadLetter(
                queue=queue,
                body=body,
                content_type=properties.content_type or "",
                message_id=properties.message_id,
                headers=dict(properties.headers or {}),
                tag=method.delivery_tag,
            )

    def remove(self, dead_letter: RawDeadLetter) -> None:
        """Acknowledge a message of this reader, which removes it from its queue."""
        with _map_errors():
            self._open().basic_ack(dead_letter.tag)

    def wait(self, seconds: float) -> None:
        """Wait while the connection is kept alive."""
        with _map_errors():
            self._connection.sleep(seconds)

    def _open(self) -> BlockingChannel:
        if self._channel is None:
            self._channel = self._connection.channel()
        return self._channel


@dataclass(frozen=True)
class DeadLetter:
    """A dead letter with its parsed content. Those with the same body in the same queue have the same id."""

    raw: RawDeadLetter
    id: str
    queue: str  # the work queue that it was in
    keys: tuple[str, ...]  # object keys of its images
    code: str
    reason: str
    attempts: int
    dead_lettered_at: datetime | None
    routing_key: str  # of its first delivery; empty if unknown
    redriven_by: str = ""
    run_id: str = ""  # of the run that the message belongs to
    object_version: ObjectVersion | None = None  # of the upload that it announces; None for any other message

    @property
    def image_ids(self) -> tuple[UUID, ...]:
        return tuple(image_id_of(key) for key in self.keys)

    def describe(self) -> dict[str, Any]:
        """Return the fields of ``list --json``."""
        images = [{"id": str(image_id_of(key)), "key": key} for key in self.keys]
        return {
            "id": self.id,
            "queue": self.queue,
            "images": images,
            "code": self.code,
            "reason": self.reason,
            "attempts": self.attempts,
            "dead_lettered_at": self.dead_lettered_at.isoformat() if self.dead_lettered_at else None,
            "redriven_by": self.redriven_by or None,
        }


def parse_dead_letter(raw: RawDeadLetter) -> DeadLetter:
    """Parse any dead letter, even one with an unreadable body or headers."""
    headers = raw.headers
    queue = raw.queue.removesuffix(dead_letter_queue_name(""))
    message = Message.read(raw.body, "", raw.content_type, headers)
    by_broker = bool(find_delivery_limit_queue(headers))
    reason = str(headers.get(REASON, ""))
    return DeadLetter(
        raw=raw,
        id=hashlib.sha256(raw.queue.encode() + b"\0" + raw.body).hexdigest()[:_ID_DIGITS],
        queue=queue,
        keys=_find_keys(raw),
        code=DELIVERY_LIMIT if by_broker else _find_code(headers),
        reason="delivered too often without an acknowledgement" if by_broker else reason,
        attempts=message.attempt,
        dead_lettered_at=_find_time(headers),
        routing_key=_find_routing_key(headers),
        redriven_by=message.redriven_by,
        run_id=message.run_id,
        object_version=_find_object_version(raw),
    )


def _find_object_version(raw: RawDeadLetter) -> ObjectVersion | None:
    try:
        events = [] if raw.content_type == CONTENT_TYPE else parse_storage_events(raw.body)
    except MalformedEvent:
        return None
    return events[0].object_version if len(events) == 1 and events[0].is_about_original else None


def _find_keys(raw: RawDeadLetter) -> tuple[str, ...]:
    try:
        if raw.content_type == CONTENT_TYPE:
            data = parse_lifecycle_event(raw.body).data
            return () if isinstance(data, SystemEvent) else (data.key,)
        events = parse_storage_events(raw.body)
    except MalformedEvent:
        return ()
    return tuple(dict.fromkeys(event.key for event in events if event.bucket == ORIGINALS_BUCKET))


def _find_code(headers: dict[str, Any]) -> str:
    if CODE in headers:
        return str(headers[CODE])
    # Of all messages that the services dead-letter, only malformed events have no code.
    return MALFORMED_EVENT if REASON in headers else UNKNOWN


def _find_time(headers: dict[str, Any]) -> datetime | None:
    try:
        return datetime.fromisoformat(headers[DEAD_LETTERED_AT])
    except (KeyError, TypeError, ValueError):
        pass
    latest = next((death.get("time") for death in x_death_records(headers)), None)
    if not isinstance(latest, datetime):
        return None
    return latest if latest.tzinfo else latest.replace(tzinfo=UTC)


def _find_routing_key(headers: dict[str, Any]) -> str:
    if ROUTING_KEY in headers:
        return str(headers[ROUTING_KEY])
    first = next((death.get("routing-keys") for death in reversed(x_death_records(headers))), None)
    return str(first[0]) if isinstance(first, list) and first else ""


@contextmanager
def _map_errors() -> Iterator[None]:
    try:
        yield
    except ChannelClosedByBroker as error:
        if error.reply_code in {403, 404}:  # access refused, no such queue
            raise DependencyRejected("rabbitmq", error.reply_text) from error
        raise DependencyUnavailable("rabbitmq", error.reply_text) from error
    except (AMQPError, OSError) as error:
        raise DependencyUnavailable("rabbitmq", error_message(error)) from error
