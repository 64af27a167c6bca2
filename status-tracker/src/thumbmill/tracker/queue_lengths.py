"""The lengths of queues as a metric: what waits, dead letters, and messages without a queue."""

from collections.abc import Iterable

from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.messaging.topology import TRACKER_QUEUE, UNROUTED, dead_letter_queue_name
from thumbmill.tracker.metrics import QUEUE_LENGTH


def watched_queues(image_queue: str) -> tuple[str, ...]:
    """Return the queues to watch; the last three should be empty; a message there needs an operator."""
    return (
        image_queue,
        TRACKER_QUEUE,
        dead_letter_queue_name(image_queue),
        dead_letter_queue_name(TRACKER_QUEUE),
        UNROUTED,
    )


def measure_queues(publisher: Publisher, queues: Iterable[str]) -> None:
    """Set each queue's metric. Raise DependencyUnavailable."""
    for queue in queues:
        QUEUE_LENGTH.labels(queue).set(publisher.message_count(queue))
