"""What is done about a suspicion, after a second look that nothing destructive goes without.

A comparison sees a listing and rows of different moments, and news that is under way looks like a fault. So first
the tracker has to see everything that was told before the comparison (``CatchUpBarrier``). Then each suspicion is judged
by the row and the object of that moment, by a HEAD: a listing may be old, or lack what lies below another object's
key. What is left of the races is this:

- An upload or a removal after that look has news of its own, which comes later, and the tracker asks the bucket.
- A row is marked by a fact through the tracker itself, which looks once more with the row locked.
- Announcing an object twice costs work and changes nothing: variants have names that follow from the bytes.
- Variants are removed with the row locked, so that no word of theirs can be written meanwhile; only old ones, and
  only while a HEAD shows the object that was listed. Of an image in work none is touched. A thumbnailer that writes
  the very same variant again between our HEAD and our DELETE loses it (S3 knows no conditional DELETE). Its row
  then names a variant that is gone, and the next pass has it made again.
- Who dies half-way leaves things that the next pass finds, for only afterwards it is noted how far this one came.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from threading import Event
from uuid import UUID

import structlog

from thumbmill.core.contracts.identity import VARIANTS_BUCKET, ObjectVersion, upload_key
from thumbmill.core.contracts.storage_events import parse_storage_events
from thumbmill.core.errors import DependencyUnavailable, MalformedEvent
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.object_store.errors import InvalidKeyError
from thumbmill.core.object_store.store import ObjectMetadata, Storage
from thumbmill.tracker.db.connection import ConflictError, InvalidValueError
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.handler import Tracker
from thumbmill.tracker.image_record import MIN_DATETIME, ImageRecord
from thumbmill.tracker.metrics import RECONCILED
from thumbmill.tracker.reconciliation.drift import Drift, DriftKind, is_confirmed, is_plausible, unnamed_variants
from thumbmill.tracker.reconciliation.repository import ReconciliationRepository
from thumbmill.tracker.reminder import republish_image
from thumbmill.tracker.republish import find_original, removal_body, republish, upload_body
from thumbmill.tracker.requests import drift_repaired, find_variant, remove_rejected_object, reprocess
from thumbmill.tracker.timeline import from_storage_event

log = structlog.get_logger()

NAME = "reconciler"  # as the timeline has it
LATE_SECONDS = 5.0  # by then DURABLE has told what IMMEDIATE could not, unless the broker is away
STILL_SECONDS = 60.0  # a watermark comes every second while a tracker works, every 30 if it is far behind
LOOK_SECONDS = 0.2
STUCK = 200  # at once


class StoppedError(Exception):
    """The process is to end."""


@dataclass(frozen=True)
class CatchUpBarrier:
    """Waits until the tracker has seen everything that was told up to a few seconds from now."""

    inventory: ReconciliationRepository
    stop: Event
    late_seconds: float = LATE_SECONDS

    def wait(self) -> None:
        """Return when it has. Raises StoppedError, and DependencyAway if no tracker moves."""
        wanted = datetime.now(UTC) + timedelta(seconds=self.late_seconds)
        seen, since = MIN_DATETIME, 0.0
        while (now_at := self.inventory.caught_up_to()) <= wanted:
            since = since + LOOK_SECONDS if now_at == seen else 0.0
            if since > STILL_SECONDS:
                raise DependencyUnavailable(
                    "status-tracker", f"none has caught up for {since:.0f} s: is one running?"
                )
            seen = now_at
            if self.stop.wait(LOOK_SECONDS):
                raise StoppedError


@dataclass(frozen=True)
class Repairer:
    """Belongs to one thread, as what it is made of does. ``dry``: look and judge, and change nothing."""

    inventory: ReconciliationRepository
    repository: Repository
    tracker: Tracker
    storage: Storage
    publisher: Publisher
    patience: CatchUpBarrier
    image_queue: str
    age: timedelta
    dry_run: bool = False
    found: Counter[DriftKind] = field(default_factory=Counter)

    def repair(self, suspicions: Sequence[Drift]) -> None:
        """Put right what is really wrong. Raises DependencyAway, StoppedError."""
        rows = self.inventory.find({drift.image_id for drift in suspicions}) if suspicions else {}
        drifts = [
            drift for drift in suspicions if is_plausible(drift, rows.get(drift.image_id))
        ]  # most are of images in work
        drifts = [f for f in drifts if f.what is not DriftKind.ORPHANS or unnamed_variants(f, rows.get(f.image_id))]
        if not drifts:
            return
        self.patience.wait()
        for drift in drifts:
            if self.patience.stop.is_set():
                raise StoppedError
            try:
                self._repair(drift)
            except (InvalidKeyError, MalformedEvent, InvalidValueError, ConflictError) as fault:
                log.warning("cannot_heal", what=drift.what, image_id=str(drift.image_id), fault=str(fault))

    def repair_stuck(self) -> None:
        """Announce again what nobody works on. Raises DependencyAway."""
        idle = self.publisher.message_count(self.image_queue) == 0
        for row in self.inventory.claim_stuck(self.age, STUCK, idle=idle, keep=not self.dry_run):
            note = drift_repaired(DriftKind.STUCK, row.key, row.object_version, by=NAME)
            told = self.dry_run or republish_image(
                row, self.tracker, self.storage, self.publisher, by=NAME, notes=(note,)
            )
            if told:
                self._report(DriftKind.STUCK, row.id, row.key)

    def _repair(self, drift: Drift) -> None:
        if drift.what is DriftKind.ORPHANS:
            self._remove_orphans(drift)
            return
        row = self.inventory.find([drift.image_id]).get(drift.image_id)
        head = find_original(self.storage, drift.key)
        if not is_confirmed(drift, row, head.object_version if head else None):
            return
        if drift.what is DriftKind.MISSING_VARIANTS:
            if row and head:
                self._reprocess(row, drift, head)
            return
        if row and row.rejected_version and drift.object_version == row.rejected_version:
            if not self.dry_run:  # whoever was to remove it has died over it
                remove_rejected_object(drift.key, row.rejected_version, self.tracker, self.storage, by=NAME)
            return
        body = upload_body(drift.key, head) if head else removal_body(drift.key)
        fact = from_storage_event(parse_storage_events(body)[0], NAME, body)
        if not self.dry_run:
            republish(self.publisher, body, fact.image_id, fact.type, found_by=NAME)
            self.tracker.record([fact, drift_repaired(drift.what, drift.key, fact.object_version, by=NAME)])
        self._report(drift.what, drift.image_id, drift.key)

    def _reprocess(self, row: ImageRecord, drift: Drift, head: ObjectMetadata) -> None:
        if not self.dry_run:
            remade = reprocess(
                row,
                head,
                drift.gone,
                self.tracker,
                self.inventory,
                self.storage,
                self.publisher,
                by=NAME,
                age=self.age,
            )
            self.found[drift.what] += bool(remade)
        elif gone := [key for key in drift.gone if find_variant(self.storage, key) is None]:
            self._report(drift.what, drift.image_id, drift.key, variants=gone)

    def _remove_orphans(self, drift: Drift) -> None:
        with self.repository.transaction() as unit_of_work:
            row = unit_of_work.lock_images([drift.image_id]).get(drift.image_id)
            if not is_confirmed(drift, row, self._original(drift.image_id, row)):
                return
            doomed = [
                thing
                for thing in unnamed_variants(drift, row)
                if find_variant(self.storage, thing.key) == thing.object_version
            ]
            if not doomed:
                return
            if not self.dry_run:
                self.storage.delete_all(VARIANTS_BUCKET, [thing.key for thing in doomed])
                if row and row.key:  # a note names its image by the key, which a deleted one may have lost
                    unit_of_work.write([drift_repaired(drift.what, row.key, row.object_version, by=NAME)], [])
        self._report(drift.what, drift.image_id, row.key if row else "", variants=[thing.key for thing in doomed])

    def _original(self, image_id: UUID, row: ImageRecord | None) -> ObjectVersion | None:
        """Look for the original; where no row says its key and the id does not, it would have been MISSED."""
        key = row.key if row and row.key else upload_key(image_id) if image_id.version == 7 else None
        head = find_original(self.storage, key) if key else None
        return head.object_version if head else None

    def _report(self, what: DriftKind, image_id: UUID, key: str, variants: Sequence[str] = ()) -> None:
        self.found[what] += 1
        if not self.dry_run:
            RECONCILED.labels(what).inc()
        more = {"variants": list(variants)} if variants else {}
        log.warning("would_heal" if self.dry_run else "healed", what=what, image_id=str(image_id), key=key, **more)
