"""Waits until the tracker has seen every event that was published before a comparison."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event

from thumbmill.core.errors import DependencyUnavailable
from thumbmill.tracker.background import ShutdownRequested
from thumbmill.tracker.image_record import MIN_DATETIME
from thumbmill.tracker.reconciliation.repository import ReconciliationRepository

LATE_SECONDS = 5.0  # by then DURABLE has announced what IMMEDIATE could not, unless the broker is unavailable
STALLED_SECONDS = 60.0  # a watermark comes every second while a tracker works, every 30 if it is far behind
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class CatchUpBarrier:
    """Compares the tracker's watermark with the clock."""

    repository: ReconciliationRepository
    stop: Event
    late_seconds: float = LATE_SECONDS

    def wait(self) -> None:
        """Return once every event published up to ``late_seconds`` from now has been seen.

        Raise ShutdownRequested, or DependencyUnavailable if no tracker makes progress.
        """
        target = datetime.now(UTC) + timedelta(seconds=self.late_seconds)
        last, stalled_for = MIN_DATETIME, 0.0
        while (caught_up_to := self.repository.caught_up_to()) <= target:
            stalled_for = stalled_for + POLL_SECONDS if caught_up_to == last else 0.0
            if stalled_for > STALLED_SECONDS:
                raise DependencyUnavailable(
                    "status-tracker", f"none has caught up for {stalled_for:.0f} s: is one running?"
                )
            last = caught_up_to
            if self.stop.wait(POLL_SECONDS):
                raise ShutdownRequested
