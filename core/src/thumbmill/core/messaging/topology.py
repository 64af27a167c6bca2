"""Every exchange, queue and binding.

MinIO publishes each change of the bucket twice to ``storage.events``, through two notification targets, since
neither is enough alone. IMMEDIATE arrives within a millisecond of the upload's response, but is lost while RabbitMQ
is unavailable. DURABLE is stored on MinIO's disk until RabbitMQ confirms it, and so arrives up to three seconds
later. The thumbnailer consumes only IMMEDIATE, so that each image is processed once. The tracker consumes both. If
an event arrives by DURABLE only, the tracker publishes it again as REPUBLISHED for the thumbnailer.

The services publish lifecycle events to ``image.lifecycle``, and delayed messages and dead letters to
``message.retry``. Policies and RabbitMQ's definitions file are in ``definitions.py``.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from thumbmill.core.messaging.retry_policy import DELAYS

STORAGE_EVENTS, LIFECYCLE, RETRY, UNROUTED = "storage.events", "image.lifecycle", "message.retry", "unrouted"
IMMEDIATE, DURABLE, REPUBLISHED = "immediate", "durable", "republished"  # routing keys on storage.events
IMAGE_QUEUE, TRACKER_QUEUE = "image_queue", "status_tracker"


@dataclass(frozen=True)
class Exchange:
    """A durable exchange."""

    name: str
    type: str


@dataclass(frozen=True)
class Binding:
    """Routes messages with a routing key from an exchange to the queue that has this binding."""

    exchange: str
    key: str


@dataclass(frozen=True)
class Queue:
    """A quorum queue with its bindings."""

    name: str
    bindings: tuple[Binding, ...]
    extra_arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def arguments(self) -> dict[str, Any]:
        return {"x-queue-type": "quorum", **self.extra_arguments}


EXCHANGES = (
    Exchange(STORAGE_EVENTS, "topic"),
    Exchange(LIFECYCLE, "topic"),
    Exchange(RETRY, "topic"),  # not direct: RabbitMQ checks permissions for routing keys only on topic exchanges
)


def delay_queue_name(queue: str, delay: str) -> str:
    """Return the name of a delay queue of ``queue``; it is also the routing key on ``message.retry``."""
    return f"{queue}.delay.{delay}"


def dead_letter_queue_name(queue: str) -> str:
    """Return the name of the dead letter queue of ``queue``; it is also the routing key on ``message.retry``."""
    return f"{queue}.dead"


@dataclass(frozen=True)
class QueueGroup:
    """A work queue with its delay queues and its dead letter queue; its consumer declares all of them.

    Delayed messages and redriven dead letters return to the work queue with its name as the routing key.
    """

    work: Queue

    @property
    def queues(self) -> tuple[Queue, ...]:
        name, dead = self.work.name, dead_letter_queue_name(self.work.name)
        work = replace(self.work, bindings=(*self.work.bindings, Binding(RETRY, name)))
        delays = (_delay_queue(name, delay, int(time.total_seconds() * 1000)) for delay, time in DELAYS.items())
        return (work, *delays, Queue(dead, (Binding(RETRY, dead),)))


def _delay_queue(work: str, delay: str, milliseconds: int) -> Queue:
    name = delay_queue_name(work, delay)
    arguments = {
        "x-message-ttl": milliseconds,
        "x-dead-letter-exchange": RETRY,  # the default exchange would need permission to write to every queue
        "x-dead-letter-routing-key": work,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",  # required by at-least-once
    }
    return Queue(name, (Binding(RETRY, name),), arguments)


def thumbnailer_queues(name: str = IMAGE_QUEUE) -> QueueGroup:
    """Return the queues of the thumbnailer."""
    return QueueGroup(Queue(name, (Binding(STORAGE_EVENTS, IMMEDIATE), Binding(STORAGE_EVENTS, REPUBLISHED))))


def tracker_queues(image_queue: str = IMAGE_QUEUE) -> QueueGroup:
    """Return the queues of the status tracker, which also gets a copy of each dead letter about an image.

    One tracker is active at a time, and others stand by: with two active, neither would know the time up to which
    all events have been consumed.
    """
    bindings = (
        Binding(STORAGE_EVENTS, IMMEDIATE),
        Binding(STORAGE_EVENTS, DURABLE),
        Binding(LIFECYCLE, "#"),
        Binding(RETRY, dead_letter_queue_name(image_queue)),
    )
    return QueueGroup(Queue(TRACKER_QUEUE, bindings, {"x-single-active-consumer": True}))
