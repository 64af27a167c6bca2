"""What is in the dead letter queues: written down for operators, and dropped where a later run has decided.

A look takes the messages out of their queue for a few milliseconds, so that other programs do not find them, and
counts as a delivery of each. So a queue is read only when its length has changed and is the same at two runs in a
row, or when one of its known messages is superseded.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import structlog
from pydantic_core import to_json

from thumbmill.core.contracts.cloud_event import to_cloud_event
from thumbmill.core.contracts.interventions import Dropped, next_run_id
from thumbmill.core.messaging.dead_letters import DeadLetter, DeadLetterReader, parse_dead_letter
from thumbmill.core.messaging.topology import TRACKER_QUEUE, dead_letter_queue_name
from thumbmill.core.settings import BrokerSettings
from thumbmill.core.text import sanitize_text
from thumbmill.tracker.db.connection import execute
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.handler import Tracker
from thumbmill.tracker.metrics import SUPERSEDED
from thumbmill.tracker.timeline import from_lifecycle_event

log = structlog.get_logger()

MAX_READ = 1000  # messages of a queue at once
MAX_REASON_CHARS = 300
RECORDED_BY = "status-tracker"
_LOCK = 0x7468756D65  # an arbitrary number that nothing else uses
_Identity = tuple[str, datetime | None]


@dataclass
class DeadLetterWatch:
    """Belongs to one thread, as its parts do. One tracker at a time reads the queues."""

    repository: Repository
    tracker: Tracker
    broker: BrokerSettings
    image_queue: str
    _measured: dict[str, int] = field(default_factory=dict)  # lengths at the last run
    _lengths: dict[str, int] = field(default_factory=dict)  # of what was read last

    def run(self, lengths: Mapping[str, int]) -> None:
        """Read the queues where that is needed; ``lengths`` are the present ones. Raise DependencyUnavailable."""
        queues = [dead_letter_queue_name(queue) for queue in (self.image_queue, TRACKER_QUEUE)]
        with self.repository.advisory_lock(_LOCK) as locked:
            for queue in queues if locked else []:
                length = lengths.get(queue, 0)
                is_settled = length == self._measured.get(queue)
                self._measured[queue] = length
                if length and not is_settled:
                    continue
                if length == self._lengths.get(queue) and not (length and self._superseded(queue)):
                    continue
                self._lengths[queue] = self._read(queue, length)

    def _read(self, queue: str, length: int) -> int:
        """Write down what is in a queue, and drop what is superseded. Return the length to expect next."""
        dead_letters = self._peek(queue) if length else []
        self._write(queue, dead_letters)
        superseded = {_identity(dead_letters[position]) for position in self._superseded(queue)}
        left = self._drop_all(queue, superseded) if superseded else dead_letters
        # Fewer than there were: an operator's program holds the others, so the next look has to see them.
        is_whole = len(dead_letters) == MAX_READ or len(dead_letters) >= length
        return length - (len(dead_letters) - len(left)) if is_whole else len(left)

    def _peek(self, queue: str) -> list[DeadLetter]:
        with DeadLetterReader(self.broker, f"{RECORDED_BY} dead letters") as reader:
            return [parse_dead_letter(raw) for raw in islice(reader.peek(queue), MAX_READ)]

    def _drop_all(self, queue: str, superseded: Collection[_Identity]) -> list[DeadLetter]:
        """Drop these messages, and return the others."""
        left = []
        with DeadLetterReader(self.broker, f"{RECORDED_BY} dead letters") as reader:
            for raw in islice(reader.peek(queue), MAX_READ):
                dead_letter = parse_dead_letter(raw)
                if _identity(dead_letter) in superseded:
                    self._drop(dead_letter, reader)
                else:
                    left.append(dead_letter)
        self._write(queue, left)
        return left

    def _drop(self, dead_letter: DeadLetter, reader: DeadLetterReader) -> None:
        """Remove a message whose image a later run has decided about; its timeline says so."""
        now = datetime.now(UTC)
        for key in dead_letter.keys:
            dropped = Dropped(
                key=key,
                operator=RECORDED_BY,
                queue=dead_letter.queue,
                code=dead_letter.code,
                run_id=next_run_id("", now),
            )
            self.tracker.record([from_lifecycle_event(to_cloud_event(dropped, by=RECORDED_BY), dropped, b"")])
        reader.remove(dead_letter.raw)
        SUPERSEDED.inc()
        log.info(
            "dead_letter_superseded",
            queue=dead_letter.raw.queue,
            images=[str(id_) for id_ in dead_letter.image_ids],
        )

    def _write(self, queue: str, dead_letters: Sequence[DeadLetter]) -> None:
        records = [_to_record(queue, position, dead_letter) for position, dead_letter in enumerate(dead_letters)]
        with self.repository.connected() as connection, connection.transaction():
            execute(connection, "clear_dead_letters", queue=queue)
            execute(connection, "write_dead_letters", records=to_json(records).decode())

    def _superseded(self, queue: str) -> set[int]:
        """Return the positions of what may be dropped: never an event that was not recorded."""
        if queue != dead_letter_queue_name(self.image_queue):
            return set()
        with self.repository.connected() as connection:
            return {row["position"] for row in execute(connection, "superseded_dead_letters", queue=queue)}


def _identity(dead_letter: DeadLetter) -> _Identity:
    return dead_letter.id, dead_letter.dead_lettered_at


def _to_record(queue: str, position: int, dead_letter: DeadLetter) -> dict[str, Any]:
    image_ids = dead_letter.image_ids
    return {
        "queue": queue,
        "position": position,
        "image_id": image_ids[0] if len(image_ids) == 1 else None,
        "object_version": str(dead_letter.object_version) if dead_letter.object_version else None,
        "run_id": sanitize_text(dead_letter.run_id, MAX_REASON_CHARS),
        "code": sanitize_text(dead_letter.code, MAX_REASON_CHARS),
        "reason": sanitize_text(dead_letter.reason, MAX_REASON_CHARS),
        "dead_lettered_at": dead_letter.dead_lettered_at,
    }
