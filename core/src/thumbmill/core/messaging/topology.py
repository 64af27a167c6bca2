"""Every exchange, queue, binding and policy, as values; each name is written once and derived ever after.

``infra/rabbitmq/definitions.json`` is this file printed by ``python -m thumbmill.core.messaging.topology``.
"""

import json
import re
import sys
from dataclasses import dataclass, field, replace
from typing import Any

from thumbmill.core.messaging.retry_policy import DELAYS

STORAGE_EVENTS = "storage.events"
LIFECYCLE = "image.lifecycle"
RETRY = "message.retry"
UNROUTED = "unrouted"

IMMEDIATE, DURABLE, REPUBLISHED = "immediate", "durable", "republished"

IMAGE_QUEUE = "image_queue"
TRACKER_QUEUE = "status_tracker"

# 4.x drops a message at its 20th delivery unless told otherwise; 3.10 refuses -1.
DELIVERY_LIMIT = 1000
# Of a dead letter each look costs a delivery, and at a limit it would be gone: nobody looks so often.
DEAD_LETTER_DELIVERY_LIMIT = 2_000_000_000


@dataclass(frozen=True)
class Exchange:
    """A durable exchange."""

    name: str
    type: str


@dataclass(frozen=True)
class Binding:
    """What an exchange hands to a queue."""

    exchange: str
    key: str


@dataclass(frozen=True)
class Queue:
    """A quorum queue with what it is bound to."""

    name: str
    bindings: tuple[Binding, ...]
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def arguments(self) -> dict[str, Any]:
        return {"x-queue-type": "quorum", **self.extra}


EXCHANGES = (
    Exchange(STORAGE_EVENTS, "topic"),
    Exchange(LIFECYCLE, "topic"),
    Exchange(RETRY, "topic"),  # not direct: who may use which routing key is checked on topic exchanges alone
)
# Of the versions before the delay queues dead-lettered through RETRY. What waits there comes back by itself within
# minutes; a day later the broker deletes them.
_FORMER_DELAYS, _FORMER_DELAYS_LAST = r"\.retry\.(5s|30s|5m)$", 86_400_000  # milliseconds


def delay_queue_name(queue: str, delay: str) -> str:
    """Name the queue in which a message of ``queue`` waits; also its routing key on ``message.retry``."""
    return f"{queue}.delay.{delay}"


def dead_letter_queue_name(queue: str) -> str:
    """Name the queue that keeps what ``queue`` could not handle; also its routing key on ``message.retry``."""
    return f"{queue}.dead"


@dataclass(frozen=True)
class QueueGroup:
    """A work queue and where its messages wait or end: what its consumer declares on every connection.

    By the work queue's own name come back what has waited, and the dead letters that an operator sends back.
    """

    work: Queue

    @property
    def queues(self) -> tuple[Queue, ...]:
        name = self.work.name
        delays = (_waiting(name, delay, int(time.total_seconds() * 1000)) for delay, time in DELAYS.items())
        work = replace(self.work, bindings=(*self.work.bindings, Binding(RETRY, name)))  # the way back
        return (work, *delays, Queue(dead_letter_queue_name(name), (Binding(RETRY, dead_letter_queue_name(name)),)))


def _waiting(work: str, delay: str, milliseconds: int) -> Queue:
    name = delay_queue_name(work, delay)
    back_without_loss = {
        "x-message-ttl": milliseconds,
        "x-dead-letter-exchange": RETRY,  # the default one would take a right to write into every queue
        "x-dead-letter-routing-key": work,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",  # at-least-once needs it
    }
    return Queue(name, (Binding(RETRY, name),), back_without_loss)


def thumbnailer_queues(name: str = IMAGE_QUEUE) -> QueueGroup:
    """What the thumbnailer consumes."""
    return QueueGroup(Queue(name, (Binding(STORAGE_EVENTS, IMMEDIATE), Binding(STORAGE_EVENTS, REPUBLISHED))))


def tracker_queues(image_queue: str = IMAGE_QUEUE) -> QueueGroup:
    """What the status tracker consumes: also a copy of each dead letter of the images.

    One tracker is active at a time, the others stand by: with two at work, neither could say up to which
    moment every fact has been seen.
    """
    bindings = (
        Binding(STORAGE_EVENTS, IMMEDIATE),
        Binding(STORAGE_EVENTS, DURABLE),
        Binding(LIFECYCLE, "#"),
        Binding(RETRY, dead_letter_queue_name(image_queue)),
    )
    return QueueGroup(Queue(TRACKER_QUEUE, bindings, {"x-single-active-consumer": True}))


def definitions(vhost: str = "/", image_queue: str = IMAGE_QUEUE) -> dict[str, Any]:
    """Give RabbitMQ's definitions file: everything but users, who come from secrets."""
    queues = [
        *thumbnailer_queues(image_queue).queues,
        *tracker_queues(image_queue).queues,
        Queue(UNROUTED, (Binding(UNROUTED, ""),)),
    ]
    return {
        "vhosts": [{"name": vhost}],
        "policies": [
            _policy(vhost, "delivery-limit", ".*", "queues", {"delivery-limit": DELIVERY_LIMIT}),
            *(_keeping_policy(vhost, queue) for queue in (image_queue, TRACKER_QUEUE)),
            _policy(
                vhost,
                "dead-limit",
                r"\.dead$",
                "queues",
                {"delivery-limit": DEAD_LETTER_DELIVERY_LIMIT},
                priority=1,
            ),
            _policy(vhost, "former-delays", _FORMER_DELAYS, "queues", _former(), priority=1),
            # A policy, since MinIO redeclares the exchange without arguments and would be refused.
            _policy(vhost, "alternate", rf"^{STORAGE_EVENTS}$", "exchanges", {"alternate-exchange": UNROUTED}),
        ],
        "exchanges": [
            {
                "name": exchange.name,
                "vhost": vhost,
                "type": exchange.type,
                "durable": True,
                "auto_delete": False,
                "internal": False,
                "arguments": {},
            }
            for exchange in (*EXCHANGES, Exchange(UNROUTED, "fanout"))
        ],
        "queues": [
            {
                "name": queue.name,
                "vhost": vhost,
                "durable": True,
                "auto_delete": False,
                "arguments": queue.arguments,
            }
            for queue in queues
        ],
        "bindings": [
            {
                "source": binding.exchange,
                "vhost": vhost,
                "destination": queue.name,
                "destination_type": "queue",
                "routing_key": binding.key,
                "arguments": {},
            }
            for queue in queues
            for binding in queue.bindings
        ],
    }


def _former() -> dict[str, Any]:
    return {"delivery-limit": DELIVERY_LIMIT, "expires": _FORMER_DELAYS_LAST}


def _keeping_policy(vhost: str, queue: str) -> dict[str, Any]:
    """Have what reaches the delivery limit of a work queue kept with its dead: the broker would drop it."""
    definition = {
        "delivery-limit": DELIVERY_LIMIT,
        "dead-letter-exchange": RETRY,
        "dead-letter-routing-key": dead_letter_queue_name(queue),
        "dead-letter-strategy": "at-least-once",
        "overflow": "reject-publish",  # which that strategy asks for; there is no length to overflow
    }
    return _policy(vhost, f"{queue}-limit", f"^{re.escape(queue)}$", "queues", definition, priority=1)


def _policy(
    vhost: str, name: str, pattern: str, apply_to: str, definition: dict[str, Any], *, priority: int = 0
) -> dict[str, Any]:
    return {
        "vhost": vhost,
        "name": name,
        "pattern": pattern,
        "apply-to": apply_to,
        "definition": definition,
        "priority": priority,
    }


if __name__ == "__main__":
    json.dump(definitions(), sys.stdout, indent=2)
    sys.stdout.write("\n")
