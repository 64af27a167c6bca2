"""Redrive or drop dead letters one by one: publish an event for the timeline, republish the message, remove it.

A run that is killed between two steps leaves the message in the dead-letter queue, in the work queue, or in both. A
duplicate is harmless: every handler is idempotent.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event
from time import monotonic

from thumbmill.cli.dead_letters.model import Selection
from thumbmill.core.contracts.cloud_event import to_cloud_event
from thumbmill.core.contracts.interventions import Dropped, Redriven
from thumbmill.core.messaging.dead_letters import DeadLetter, DeadLetterReader, RawDeadLetter, parse_dead_letter
from thumbmill.core.messaging.message import ORIGIN, REDRIVEN_AT, REDRIVEN_BY, ROUTING_KEY, RUN_ID
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.messaging.topology import RETRY, dead_letter_queue_name

NAME = "cli"  # the source of its events
WAIT_SECONDS = 0.2  # at a time, so that a wait ends soon after a signal


@dataclass
class Tally:
    """The numbers of dead letters that were read, and redriven or dropped."""

    seen: int = 0
    done: Counter[str] = field(default_factory=Counter)  # redriven or dropped, by error code
    interrupted: bool = False

    @property
    def moved(self) -> int:
        return self.done.total()


@dataclass(frozen=True)
class DeadLetterActions:
    """The actions of one run. ``run_id`` names it in events and sorts after every earlier one."""

    operator: str
    publisher: Publisher
    run_id: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="microseconds"))

    def redrive(self, dead_letter: DeadLetter, reader: DeadLetterReader) -> None:
        """Send a dead letter back to its work queue as a first attempt. Raise DependencyUnavailable."""
        self._publish(Redriven, dead_letter)
        raw = dead_letter.raw
        origin = {name: value for name in ORIGIN if (value := raw.headers.get(name)) is not None}
        origin |= {ROUTING_KEY: dead_letter.routing_key} if dead_letter.routing_key else {}
        headers = {RUN_ID: self.run_id, REDRIVEN_BY: self.operator, REDRIVEN_AT: self.run_id}
        self.publisher.publish(
            RETRY,
            dead_letter.queue,
            raw.body,
            headers=headers | origin,
            content_type=raw.content_type,
            message_id=raw.message_id,
        )
        reader.remove(raw)

    def drop(self, dead_letter: DeadLetter, reader: DeadLetterReader) -> None:
        """Delete a dead letter. Raise DependencyUnavailable."""
        self._publish(Dropped, dead_letter)
        reader.remove(dead_letter.raw)

    def _publish(self, kind: type[Redriven | Dropped], dead_letter: DeadLetter) -> None:
        """Publish an event for each image of the dead letter."""
        for key in dead_letter.keys:
            data = kind(
                key=key,
                operator=self.operator,
                queue=dead_letter.queue,
                code=dead_letter.code,
                run_id=self.run_id,
            )
            self.publisher.publish_event(to_cloud_event(data, by=NAME))


def select(reader: DeadLetterReader, queues: list[str], selection: Selection, tally: Tally) -> Iterator[DeadLetter]:
    """Yield the selected dead letters of these work queues."""
    for queue in queues:
        for raw in _peek(reader, dead_letter_queue_name(queue)):
            tally.seen += 1
            dead_letter = parse_dead_letter(raw)
            if selection.matches(dead_letter):
                yield dead_letter


def _peek(reader: DeadLetterReader, queue: str) -> Iterator[RawDeadLetter]:
    """Yield what is in a queue. An empty one is looked at twice: the tracker may have been reading it."""
    is_empty = True
    for raw in reader.peek(queue):
        is_empty = False
        yield raw
    if is_empty:
        reader.wait(WAIT_SECONDS)
        yield from reader.peek(queue)


def apply_all(
    dead_letters: Iterator[DeadLetter],
    action: Callable[[DeadLetter, DeadLetterReader], None],
    reader: DeadLetterReader,
    tally: Tally,
    *,
    rate: float,
    stop: Event,
    keep_alive: Callable[[], None],
) -> None:
    """Apply the action to each dead letter, at most ``rate`` a second, until ``stop`` is set."""
    due = monotonic()
    for dead_letter in dead_letters:
        while (remaining := due - monotonic()) > 0 and not stop.is_set():
            reader.wait(min(remaining, WAIT_SECONDS))
            keep_alive()
        if stop.is_set():
            tally.interrupted = True
            return
        action(dead_letter, reader)
        tally.done[dead_letter.code] += 1
        due = max(due + 1 / rate, monotonic() - 1 / rate)
