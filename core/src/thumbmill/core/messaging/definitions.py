"""RabbitMQ's definitions file: the topology with its policies.

``python -m thumbmill.core.messaging.definitions`` prints it, for ``infra/rabbitmq/definitions.json``.
"""

import json
import re
import sys
from typing import Any

from thumbmill.core.messaging.topology import (
    EXCHANGES,
    IMAGE_QUEUE,
    RETRY,
    STORAGE_EVENTS,
    TRACKER_QUEUE,
    UNROUTED,
    Binding,
    Exchange,
    Queue,
    dead_letter_queue_name,
    thumbnailer_queues,
    tracker_queues,
)

# RabbitMQ 4 drops a message at its 20th delivery unless a limit is set; 3.10 rejects -1, which means no limit.
DELIVERY_LIMIT = 1000
# Each read of a dead letter counts as a delivery, and RabbitMQ would drop it at the limit: never reach this one.
DEAD_LETTER_DELIVERY_LIMIT = 2_000_000_000
# Delay queues of versions that had no exchange RETRY. Their messages return within five minutes, and the broker
# deletes the queues a day later.
_FORMER_DELAY_QUEUES, _FORMER_DELAY_QUEUES_EXPIRE = r"\.retry\.(5s|30s|5m)$", 86_400_000  # milliseconds


def definitions(vhost: str = "/", image_queue: str = IMAGE_QUEUE) -> dict[str, Any]:
    """Return RabbitMQ's definitions without users; ``infra/rabbitmq/users.py`` makes those from secrets."""
    queues = [
        *thumbnailer_queues(image_queue).queues,
        *tracker_queues(image_queue).queues,
        Queue(UNROUTED, (Binding(UNROUTED, ""),)),
    ]
    return {
        "vhosts": [{"name": vhost}],
        "policies": _policies(vhost, image_queue),
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


def _policies(vhost: str, image_queue: str) -> list[dict[str, Any]]:
    dead = {"delivery-limit": DEAD_LETTER_DELIVERY_LIMIT}
    former = {"delivery-limit": DELIVERY_LIMIT, "expires": _FORMER_DELAY_QUEUES_EXPIRE}
    return [
        _policy(vhost, "delivery-limit", ".*", "queues", {"delivery-limit": DELIVERY_LIMIT}),
        *(_work_queue_policy(vhost, queue) for queue in (image_queue, TRACKER_QUEUE)),
        _policy(vhost, "dead-limit", r"\.dead$", "queues", dead, priority=1),
        _policy(vhost, "former-delays", _FORMER_DELAY_QUEUES, "queues", former, priority=1),
        # A policy instead of an argument: MinIO declares the exchange without arguments, which would be refused.
        _policy(vhost, "alternate", rf"^{STORAGE_EVENTS}$", "exchanges", {"alternate-exchange": UNROUTED}),
    ]


def _work_queue_policy(vhost: str, queue: str) -> dict[str, Any]:
    """Dead-letter what reaches the delivery limit of a work queue, which the broker would drop otherwise."""
    definition = {
        "delivery-limit": DELIVERY_LIMIT,
        "dead-letter-exchange": RETRY,
        "dead-letter-routing-key": dead_letter_queue_name(queue),
        "dead-letter-strategy": "at-least-once",
        "overflow": "reject-publish",  # required by that strategy; the queue has no maximum length
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
