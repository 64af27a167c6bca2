"""The lengths of queues, as a metric and in a table: what waits, dead letters, and messages without a queue."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from pydantic_core import to_json

from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.messaging.topology import TRACKER_QUEUE, UNROUTED, dead_letter_queue_name
from thumbmill.tracker.db.connection import execute
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.metrics import QUEUE_LENGTH

WORKERS_KEPT = timedelta(minutes=15)  # after their heartbeats stopped, so that operators see it


def watched_queues(image_queue: str) -> tuple[str, ...]:
    """Return the queues to watch; the last three should be empty; a message there needs an operator."""
    return (
        image_queue,
        TRACKER_QUEUE,
        dead_letter_queue_name(image_queue),
        dead_letter_queue_name(TRACKER_QUEUE),
        UNROUTED,
    )


@dataclass(frozen=True)
class QueueWatch:
    """Measures the queues. Belongs to one thread, as its parts do; ``on_measured`` gets the lengths."""

    publisher: Publisher
    repository: Repository
    queues: tuple[str, ...]
    on_measured: Callable[[Mapping[str, int]], None]

    def run(self) -> None:
        """Measure each queue, forget workers that stopped long ago, and add up the counts of images.

        Raise DependencyUnavailable.
        """
        lengths = {queue: self.publisher.message_count(queue) for queue in self.queues}
        for queue, length in lengths.items():
            QUEUE_LENGTH.labels(queue).set(length)
        records = [{"name": queue, "ready": length} for queue, length in lengths.items()]
        with self.repository.connected() as connection:
            execute(connection, "write_queues", records=to_json(records).decode())
            execute(connection, "expire_workers", age=WORKERS_KEPT)
            execute(connection, "add_up_counts")
        self.on_measured(lengths)
