"""What ends: rows of deleted images and of tickets that were never used, each with its timeline, and stray facts.

A purged id is 404. What protects the purged from late news stands in ``Rules``: a fact that is old enough to belong
to a purged row makes none unless the bucket has an object under its key.
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

CHUNK = 200  # images in one transaction, which holds their rows locked for some milliseconds
STRAYS = 1000  # facts that are looked at in one
CHUNKS = 50  # in one turn
EVERY_SECONDS = 10.0


@dataclass(frozen=True)
class Rules:
    """What the settings say about the ends of things."""

    deleted: timedelta = timedelta(days=30)  # how long a row stays
    expired: timedelta = timedelta(days=1)
    overwrite: bool = False  # whether a used form may bring another file

    @classmethod
    def of(cls, settings: Settings) -> "Rules":
        """Read them from the settings."""
        return cls(
            deleted=timedelta(seconds=settings.deleted_retention_seconds),
            expired=timedelta(seconds=settings.expired_retention_seconds),
            overwrite=settings.form_overwrite,
        )

    def is_purgeable(self, fact: TimelineEvent) -> bool:
        """Tell whether a fact is so old that the row which it belongs to may have been purged.

        Half of the retention allows for clocks that differ, and for facts that are younger than their image's last
        change.
        """
        now = datetime.now(UTC)
        if isinstance(fact.payload, UploadRequested):
            return fact.payload.expires_at < now - self.expired / 2
        return fact.occurred < now - self.deleted / 2


@dataclass
class Retention:
    """Purges by turns; belongs to one thread, as its repository does. Any number may be at work."""

    repository: Repository
    rules: Rules
    _looked: tuple[datetime, UUID] = field(default=(MIN_DATETIME, UUID(int=0)))  # at stray facts

    def run(self, stop: Event) -> int:
        """Purge what is due, as far as one turn goes, and give its number. Raises DependencyAway."""
        total = 0
        for what, purge in (("deleted", self._deleted), ("expired", self._expired), ("stray", self._strays)):
            for _ in range(CHUNKS):
                if stop.is_set():
                    return total
                purged, is_last = purge()
                total += purged
                PURGED.labels(what).inc(purged)
                if is_last:
                    break
        if total:
            log.info("purged", number=total)
        return total

    def _deleted(self) -> tuple[int, bool]:
        purged = self.repository.purge("purge_deleted", CHUNK, age=self.rules.deleted, form_age=self.rules.expired)
        return purged, purged < CHUNK

    def _expired(self) -> tuple[int, bool]:
        purged = self.repository.purge("purge_expired", CHUNK, age=self.rules.expired)
        return purged, purged < CHUNK

    def _strays(self) -> tuple[int, bool]:
        purged, reached = self.repository.purge_stray_events(self.rules.deleted, self._looked, STRAYS)
        self._looked = reached or (
            MIN_DATETIME,
            UUID(int=0),
        )  # from the start again
        return purged, reached is None
