"""Purges rows of deleted images and of unused forms with their timelines, events without a row, and old changes.

A purged ID is 404. ``RetentionRules`` protects it from late events: an event that is old enough to belong to a
purged row creates none, unless the bucket has an object under its key.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event
from uuid import UUID

import structlog

from thumbmill.core.contracts.events import UploadRequested
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.image_record import MIN_DATETIME
from thumbmill.tracker.metrics import PURGED
from thumbmill.tracker.settings import Settings
from thumbmill.tracker.timeline import TimelineEvent

log = structlog.get_logger()

CHUNK = 200  # images in one transaction, which locks their rows for some milliseconds
STRAYS = 1000  # events checked in one statement
PARTITIONS_AHEAD = timedelta(days=3)  # made before they are needed, even if no tracker runs for a weekend
CHANGES = 2000  # deleted in one transaction
MAX_CHUNKS = 50  # in one run
INTERVAL_SECONDS = 10.0
_START = (MIN_DATETIME, UUID(int=0))


@dataclass(frozen=True)
class RetentionRules:
    """The settings for how long rows and forms are kept."""

    deleted: timedelta = timedelta(days=30)  # how long a row stays
    expired: timedelta = timedelta(days=1)
    changes: timedelta = timedelta(days=14)  # how long the feed goes back
    events: timedelta | None = None  # how long an event stays; None: as long as its image
    overwrite: bool = False  # whether a used form may store another file

    @classmethod
    def from_settings(cls, settings: Settings) -> "RetentionRules":
        return cls(
            deleted=timedelta(seconds=settings.deleted_retention_seconds),
            expired=timedelta(seconds=settings.expired_retention_seconds),
            changes=timedelta(days=settings.changes_keep_days),
            events=timedelta(days=settings.events_keep_days) if settings.events_keep_days else None,
            overwrite=settings.form_overwrite,
        )

    def is_purgeable(self, event: TimelineEvent) -> bool:
        """Return whether an event is so old that its row may have been purged.

        Half of the retention allows for clocks that differ, and for events that are younger than their image's last
        change.
        """
        now = datetime.now(UTC)
        if isinstance(event.payload, UploadRequested):
            return event.payload.expires_at < now - self.expired / 2
        return event.occurred < now - self.deleted / 2


@dataclass
class Retention:
    """Purges in chunks. Belongs to one thread, as its repository does; any number of trackers may purge."""

    repository: Repository
    rules: RetentionRules
    _checked_up_to: tuple[datetime, UUID] = field(default=_START)  # of the stray events

    def run(self, stop: Event) -> int:
        """Purge what is due, at most MAX_CHUNKS chunks of a kind. Return how many. Raise DependencyUnavailable."""
        self._keep_partitions()
        total = 0
        kinds = {
            "deleted": self._deleted,
            "expired": self._expired,
            "stray": self._strays,
            "change": self._changes,
        }
        for kind, purge in kinds.items():
            for _ in range(MAX_CHUNKS):
                if stop.is_set():
                    return total
                purged, is_last = purge()
                total += purged
                PURGED.labels(kind).inc(purged)
                if is_last:
                    break
        if total:
            log.info("purged", number=total)
        return total

    def _deleted(self) -> tuple[int, bool]:
        purged = self.repository.purge_deleted(self.rules.deleted, self.rules.expired, CHUNK)
        return purged, purged < CHUNK

    def _expired(self) -> tuple[int, bool]:
        purged = self.repository.purge_expired(self.rules.expired, CHUNK)
        return purged, purged < CHUNK

    def _strays(self) -> tuple[int, bool]:
        purged, reached = self.repository.purge_stray_events(self.rules.deleted, self._checked_up_to, STRAYS)
        self._checked_up_to = reached or _START
        return purged, reached is None

    def _changes(self) -> tuple[int, bool]:
        purged = self.repository.prune_changes(self.rules.changes, CHANGES)
        return purged, purged < CHANGES

    def _keep_partitions(self) -> None:
        """Make the timeline's next partitions and drop old ones. They have a day each if events are dropped at all.

        Without a limit there is one a month: each query of a timeline looks into all partitions.
        """
        made = self.repository.make_event_partitions("day" if self.rules.events else "month", PARTITIONS_AHEAD)
        dropped = self.repository.drop_event_partitions(self.rules.events) if self.rules.events else 0
        if made or dropped:
            log.info("event_partitions", made=made, dropped=dropped)
