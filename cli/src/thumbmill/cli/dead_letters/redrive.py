"""Redrive or drop dead letters, one by one: record the action in the timeline, republish, then remove.

A run that is killed between two steps leaves the message in the dead-letter queue, in the work queue, or in both. A
duplicate is harmless: every handler is idempotent.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event
from time import monotonic

from thumbmill.cli.dead_letters.model import DeadLetter, Selection, parse_dead_letter
from thumbmill.core.contracts.cloud_event import to_cloud_event
from thumbmill.core.contracts.interventions import Dropped, Redriven
from thumbmill.core.messaging.dead_letters import DeadLetterReader
from thumbmill.core.messaging.message import ORIGIN, REDRIVEN_AT, REDRIVEN_BY, ROUTING_KEY, RUN_ID
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.messaging.topology import RETRY, dead_letter_queue_name

NAME = "cli"  # as the timeline has it
SLICE_SECONDS = 0.2  # how soon a wait notices that it is to end


@dataclass
class Tally:
    """What was met in the dead queues, and what was done."""

    seen: int = 0
    done: Counter[str] = field(default_factory=Counter)  # by code
    interrupted: bool = False

    @property
    def moved(self) -> int:
        return self.done.total()


@dataclass(frozen=True)
class DeadLetterActions:
    """One run of the command. ``run`` is its name in facts, and sorts after every earlier one."""

    operator: str
    publisher: Publisher
    run_id: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="microseconds"))

    def redrive(self, letter: DeadLetter, reader: DeadLetterReader) -> None:
        """Send a letter back to its queue as if it had never been tried. Raises DependencyAway."""
        self._record(Redriven, letter)
        origin = {name: value for name in ORIGIN if (value := letter.raw.headers.get(name)) is not None}
        origin |= {ROUTING_KEY: letter.routing_key} if letter.routing_key else {}
        headers = {RUN_ID: self.run_id, REDRIVEN_BY: self.operator, REDRIVEN_AT: self.run_id}
        self.publisher.publish(
            RETRY,
            letter.queue,
            letter.raw.body,
            headers=headers | origin,
            content_type=letter.raw.content_type,
            message_id=letter.raw.message_id,
        )
        reader.remove(letter.raw)

    def drop(self, letter: DeadLetter, reader: DeadLetterReader) -> None:
        """Throw a letter away. Raises DependencyAway."""
        self._record(Dropped, letter)
        reader.remove(letter.raw)

    def _record(self, kind: type[Redriven | Dropped], letter: DeadLetter) -> None:
        for key in letter.keys:
            note = kind(key=key, operator=self.operator, queue=letter.queue, code=letter.code, run_id=self.run_id)
            self.publisher.publish_event(to_cloud_event(note, by=NAME))


def select(reader: DeadLetterReader, queues: list[str], selection: Selection, tally: Tally) -> Iterator[DeadLetter]:
    """Take out what lies in the dead queues of these work queues, and give what is meant."""
    for queue in queues:
        for raw in reader.peek(dead_letter_queue_name(queue)):
            tally.seen += 1
            letter = parse_dead_letter(raw)
            if selection.matches(letter):
                yield letter


def apply_all(
    letters: Iterator[DeadLetter],
    action: Callable[[DeadLetter, DeadLetterReader], None],
    reader: DeadLetterReader,
    tally: Tally,
    *,
    rate: float,
    stop: Event,
    keep_alive: Callable[[], None],
) -> None:
    """Do something with each letter, at most ``rate`` a second, until they end or ``stop`` is set."""
    due = monotonic()
    for letter in letters:
        while (left := due - monotonic()) > 0 and not stop.is_set():
            reader.wait(min(left, SLICE_SECONDS))
            keep_alive()
        if stop.is_set():
            tally.interrupted = True
            return
        action(letter, reader)
        tally.done[letter.code] += 1
        due = max(due + 1 / rate, monotonic() - 1 / rate)
