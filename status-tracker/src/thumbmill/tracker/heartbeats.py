"""Whether the bucket's events still arrive: the tracker stores a heartbeat, which both targets have to announce.

The notification rule, a target of MinIO's or a binding may be removed from a running system. Nothing fails then:
events simply stop. Checking the rule or the bindings takes permissions that no service has. So the tracker stores
an empty object under a key of its own at an interval, and expects its events. Its watermark shows when they are
missing: once a watermark comes back, everything that was published before it has been seen.
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

# How long after a heartbeat a target has announced it, by docs/facts.md; DURABLE sends one event after another.
MAX_DELAY = {IMMEDIATE: timedelta(seconds=5), DURABLE: timedelta(seconds=30)}
MAX_MISSED = 2  # heartbeats in a row that did not arrive: one may be lost with a connection
KEPT = 20  # heartbeats
FRESH = timedelta(seconds=10)  # a watermark as young as this shows that this tracker is the active one
CATCH_UP = timedelta(minutes=2)  # after the last silence, until what it hid has been found
CATCH_UP_INTERVAL_SECONDS = 10.0  # between two passes of reconciliation meanwhile
_NEVER = datetime.min.replace(tzinfo=UTC)

ADVICE = (
    "the bucket's notification rule, MinIO's target or a binding of storage.events is missing: run "
    "infra/minio/provision.py (with --watch it does so when needed), and check that RabbitMQ has its definitions"
)


def find_silent_targets(
    sent: Sequence[datetime], received: dict[str, datetime], caught_up_to: datetime
) -> list[str]:
    """Return the targets that announced none of the last heartbeats, of those that must have been seen by now.

    All times are of this process's clock; an announcement arrives a little later than its heartbeat was sent.
    """
    silent = []
    for target, delay in MAX_DELAY.items():
        due = [time for time in sent if time + delay < caught_up_to]
        if len(due) >= MAX_MISSED and received.get(target, _NEVER) < due[-MAX_MISSED]:
            silent.append(target)
    return silent


@dataclass
class Heartbeats:
    """One thread sends and checks, another receives; each writes what the other only reads."""

    storage: Storage
    watermarks: Watermarks
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _sent: list[datetime] = field(default_factory=list)
    _received: dict[str, datetime] = field(default_factory=dict)
    _silent: list[str] = field(default_factory=list)
    _catch_up_until: datetime = _NEVER

    def receive(self, heartbeat: ReceivedHeartbeat) -> None:
        """Record that a target announced a heartbeat."""
        self._received[heartbeat.target] = self.clock()

    def run_once(self) -> None:
        """Check the heartbeats before, and send another if this tracker is the active one.

        Raise DependencyUnavailable.
        """
        now, returned = self.clock(), self.watermarks.returned
        self._check(now, returned)
        if now - returned > FRESH:
            return
        self.storage.put(ORIGINALS_BUCKET, HEARTBEAT_KEY, b"", "application/x-directory")
        self._sent = [*self._sent, now][-KEPT:]

    def health(self) -> str:
        """Return what is wrong, or an empty string."""
        if not self._silent:
            return ""
        return f"{' and '.join(self._silent)} announced none of the last heartbeats: {ADVICE}"

    def interval_seconds(self, usual: float) -> float:
        """Return the interval of reconciliation, which alone finds what was stored during a silence."""
        return min(usual, CATCH_UP_INTERVAL_SECONDS) if self.clock() < self._catch_up_until else usual

    def _check(self, now: datetime, returned: datetime) -> None:
        silent = find_silent_targets(self._sent, self._received, returned)
        for target in MAX_DELAY:
            metrics.NOTIFICATIONS_SILENT.labels(target).set(target in silent)
        if silent and silent != self._silent:
            log.error("notifications_silent", targets=silent, advice=ADVICE)
        if self._silent and not silent:
            log.warning("notifications_resumed", targets=self._silent)
        self._silent = silent
        if silent:
            self._catch_up_until = now + CATCH_UP
