"""Whether the bucket's events still come: a heartbeat is stored, and has to be heard of by both targets.

The notification rule, a target of MinIO's or a binding may be taken away under a running system, and nothing fails
then: events simply do not come. To look at the rule or the bindings takes rights that no service has; so the
tracker stores an object without bytes under a key of its own, again and again, and knows what has to follow. It
judges by its watermark: what was told before a mark that came back has been seen, however much was waiting.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from thumbmill.core.contracts.identity import HEARTBEAT_KEY, ORIGINALS_BUCKET
from thumbmill.core.messaging.topology import DURABLE, IMMEDIATE
from thumbmill.core.object_store.store import Storage
from thumbmill.tracker import metrics
from thumbmill.tracker.timeline import ReceivedHeartbeat
from thumbmill.tracker.watermarks import Watermarks

log = structlog.get_logger()

# How long after a heartbeat a target has told of it, by docs/facts.md; DURABLE sends one event after the other.
LATE = {IMMEDIATE: timedelta(seconds=5), DURABLE: timedelta(seconds=30)}
MISSED = 2  # heartbeats in a row that were not heard: one may be lost with a connection
KEPT = 20  # heartbeats
FRESH = timedelta(seconds=10)  # a mark as young as this shows that this tracker is the one that works
HURRY = timedelta(minutes=2)  # after the last silence, until what it hid has been found
HURRY_SECONDS = 10.0  # between two passes of reconciliation meanwhile
_NEVER = datetime.min.replace(tzinfo=UTC)

ADVICE = (
    "the bucket's notification rule, MinIO's target or a binding of storage.events is missing: run "
    "infra/minio/provision.py (its --watch does it by itself), and see that RabbitMQ has its definitions"
)


def find_silent_targets(sent: Sequence[datetime], heard: dict[str, datetime], caught_up_to: datetime) -> list[str]:
    """Return the targets that told of none of the last heartbeats, of those that must have been seen by now.

    Times are of one clock, this process's; a target is heard a little later than the heartbeat that it tells of.
    """
    silent = []
    for target, late in LATE.items():
        due = [time for time in sent if time + late < caught_up_to]
        if len(due) >= MISSED and heard.get(target, _NEVER) < due[-MISSED]:
            silent.append(target)
    return silent


@dataclass
class Heartbeats:
    """One thread sends and judges, another hears; each writes what the other only reads."""

    storage: Storage
    watermarks: Watermarks
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _sent: list[datetime] = field(default_factory=list)
    _heard: dict[str, datetime] = field(default_factory=dict)
    _silent: list[str] = field(default_factory=list)
    _hurry_until: datetime = _NEVER

    def receive(self, beat: ReceivedHeartbeat) -> None:
        """Note that a target has told of a heartbeat."""
        self._heard[beat.target] = self.clock()

    def turn(self) -> None:
        """Send a heartbeat, if this tracker is the one that works, and judge those before.

        Raises DependencyAway.
        """
        now, returned = self.clock(), self.watermarks.returned
        self._judge(now, returned)
        if now - returned > FRESH:
            return
        self.storage.put(ORIGINALS_BUCKET, HEARTBEAT_KEY, b"", "application/x-directory")
        self._sent = [*self._sent, now][-KEPT:]

    def fault(self) -> str:
        """Say what is wrong, if so."""
        if not self._silent:
            return ""
        return f"{' and '.join(self._silent)} told of none of the last heartbeats: {ADVICE}"

    def interval_seconds(self, usual: float) -> float:
        """Return how long reconciliation may rest: it alone finds what came during a silence."""
        return min(usual, HURRY_SECONDS) if self.clock() < self._hurry_until else usual

    def _judge(self, now: datetime, returned: datetime) -> None:
        silent = find_silent_targets(self._sent, self._heard, returned)
        for target in LATE:
            metrics.SILENT.labels(target).set(target in silent)
        if silent and silent != self._silent:
            log.error("notifications_silent", targets=silent, advice=ADVICE)
        if self._silent and not silent:
            log.warning("notifications_back", targets=self._silent)
        self._silent = silent
        if silent:
            self._hurry_until = now + HURRY
