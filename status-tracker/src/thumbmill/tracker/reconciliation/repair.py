"""Repairs drift, after a second check that precedes everything destructive.

A comparison uses a listing and rows of different moments, and an event in flight can look like drift. So first the
tracker must have seen every event published before the comparison (``CatchUpBarrier``). Then each case is decided
by the present row and a HEAD: a listing may be old, or omit keys below another object's key (a/b below a). These
races remain:

- An upload or a removal after the check has its own event. It comes later, and the tracker asks the bucket then.
- A row changes only by an event through the tracker, which checks once more with the row locked.
- Republishing an object's event twice costs work and changes nothing: variants are named after the bytes.
- Variants are deleted with the row locked, so that no event about them is recorded meanwhile; only old ones, and
  only while a HEAD shows the listed object. While an image is being processed, none is touched. A thumbnailer that
  writes the very same variant again between our HEAD and our DELETE loses it (S3 has no conditional DELETE). Its
  row then names a missing variant, and the next pass has it generated again.
- A tracker that dies half-way leaves work that the next pass finds: the cursor is saved only after a batch.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

import structlog

from thumbmill.core.contracts.identity import VARIANTS_BUCKET, ObjectVersion, upload_key
from thumbmill.core.contracts.storage_events import parse_storage_events
from thumbmill.core.errors import MalformedEvent
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.messaging.retry_policy import DELAYS
from thumbmill.core.messaging.topology import delay_queue_name
from thumbmill.core.object_store.errors import InvalidKeyError
from thumbmill.core.object_store.store import ObjectMetadata, Storage
from thumbmill.tracker.background import ShutdownRequested
from thumbmill.tracker.db.connection import ConflictError, InvalidValueError
from thumbmill.tracker.follow_ups import Reprocessor, delete_rejected_object, find_variant, make_drift_event
from thumbmill.tracker.handler import Tracker
from thumbmill.tracker.image_record import ImageRecord
from thumbmill.tracker.metrics import DRIFT_REPAIRED
from thumbmill.tracker.reconciliation.barrier import CatchUpBarrier
from thumbmill.tracker.reconciliation.drift import (
    Drift,
    DriftKind,
    is_confirmed,
    is_plausible,
    unnamed_variants,
)
from thumbmill.tracker.reconciliation.repository import ReconciliationRepository
from thumbmill.tracker.republish import (
    find_original,
    make_removal_body,
    make_upload_body,
    republish,
    republish_image,
)
from thumbmill.tracker.timeline import from_storage_event

log = structlog.get_logger()

RECORDED_BY = "reconciler"  # as the timeline shows it
MAX_STUCK = 200  # at once


@dataclass(frozen=True)
class Repairer:
    """Belongs to one thread, as its parts do. ``dry_run``: check and report, and change nothing."""

    repository: ReconciliationRepository
    tracker: Tracker
    storage: Storage
    publisher: Publisher
    barrier: CatchUpBarrier
    image_queue: str
    age: timedelta
    dry_run: bool = False
    found: Counter[DriftKind] = field(default_factory=Counter)
    on_found: Callable[[DriftKind, UUID], None] = lambda _kind, _image_id: None

    def restarted(self, *, dry_run: bool, on_found: Callable[[DriftKind, UUID], None]) -> "Repairer":
        """Return a repairer with the same parts that has found nothing yet."""
        return replace(self, dry_run=dry_run, on_found=on_found, found=Counter())

    def repair(self, suspected: Sequence[Drift]) -> None:
        """Repair the drift that is confirmed. Raise DependencyUnavailable or ShutdownRequested."""
        rows = self.repository.find({drift.image_id for drift in suspected}) if suspected else {}
        # Most suspected drift is about images that are being processed.
        drifts = [drift for drift in suspected if is_plausible(drift, rows.get(drift.image_id))]
        drifts = [
            drift
            for drift in drifts
            if drift.kind is not DriftKind.ORPHANS or unnamed_variants(drift, rows.get(drift.image_id))
        ]
        if not drifts:
            return
        self.barrier.wait()
        for drift in drifts:
            if self.barrier.stop.is_set():
                raise ShutdownRequested
            try:
                self._repair(drift)
            except (InvalidKeyError, MalformedEvent, InvalidValueError, ConflictError) as error:
                log.warning("drift_not_repaired", drift=drift.kind, image_id=str(drift.image_id), error=str(error))

    def repair_stuck(self) -> None:
        """Republish the events of images that make no progress. Raise DependencyUnavailable."""
        idle = self.publisher.message_count(self.image_queue) == 0
        delay_queues = [delay_queue_name(self.image_queue, delay) for delay in DELAYS]
        delayed = any(self.publisher.message_count(queue) for queue in delay_queues)
        claimed = self.repository.claim_stuck(
            self.age, MAX_STUCK, idle=idle, delayed=delayed, keep=not self.dry_run
        )
        for row in claimed:
            event = make_drift_event(DriftKind.STUCK, row.key, row.object_version, by=RECORDED_BY)
            if self.dry_run or republish_image(
                row, self.tracker, self.storage, self.publisher, by=RECORDED_BY, timeline_events=(event,)
            ):
                self._report(DriftKind.STUCK, row.id, row.key)

    def _repair(self, drift: Drift) -> None:
        if drift.kind is DriftKind.ORPHANS:
            self._delete_orphans(drift)
            return
        row = self.repository.find([drift.image_id]).get(drift.image_id)
        head = find_original(self.storage, drift.key)
        if not is_confirmed(drift, row, head.object_version if head else None):
            return
        if drift.kind is DriftKind.MISSING_VARIANTS:
            if row and head:
                self._reprocess(row, drift, head)
            return
        if row and row.rejected_version and drift.object_version == row.rejected_version:
            if not self.dry_run:  # the tracker that was to delete it has died
                delete_rejected_object(drift.key, row.rejected_version, self.tracker, self.storage, by=RECORDED_BY)
            return
        body = make_upload_body(drift.key, head) if head else make_removal_body(drift.key)
        event = from_storage_event(parse_storage_events(body)[0], RECORDED_BY, body)
        if not self.dry_run:
            republish(self.publisher, body, event.image_id, event.type, found_by=RECORDED_BY)
            repaired = make_drift_event(drift.kind, drift.key, event.object_version, by=RECORDED_BY)
            self.tracker.record([event, repaired])
        self._report(drift.kind, drift.image_id, drift.key)

    def _reprocess(self, row: ImageRecord, drift: Drift, head: ObjectMetadata) -> None:
        if not self.dry_run:
            reprocessor = Reprocessor(self.tracker, self.repository, self.storage, self.publisher, RECORDED_BY)
            if reprocessor.reprocess(row, head, drift.missing, age=self.age):
                self.found[drift.kind] += 1
                self.on_found(drift.kind, drift.image_id)
        elif missing := [key for key in drift.missing if find_variant(self.storage, key) is None]:
            self._report(drift.kind, drift.image_id, drift.key, variants=missing)

    def _delete_orphans(self, drift: Drift) -> None:
        with self.repository.transaction() as unit_of_work:
            row = unit_of_work.lock_images([drift.image_id]).get(drift.image_id)
            if not is_confirmed(drift, row, self._find_version(drift.image_id, row)):
                return
            keys = [
                summary.key
                for summary in unnamed_variants(drift, row)
                if find_variant(self.storage, summary.key) == summary.object_version
            ]
            if not keys:
                return
            if not self.dry_run:
                self.storage.delete_all(VARIANTS_BUCKET, keys)
                if row and row.key:  # an event names its image by the key, which a deleted image may have lost
                    event = make_drift_event(drift.kind, row.key, row.object_version, by=RECORDED_BY)
                    unit_of_work.write([event], [])
        self._report(drift.kind, drift.image_id, row.key if row else "", variants=keys)

    def _find_version(self, image_id: UUID, row: ImageRecord | None) -> ObjectVersion | None:
        """Return the original's version.

        An original whose key neither a row nor the ID gives would be drift of the kind MISSED.
        """
        key = row.key if row and row.key else upload_key(image_id) if image_id.version != 5 else None
        head = find_original(self.storage, key) if key else None
        return head.object_version if head else None

    def _report(self, kind: DriftKind, image_id: UUID, key: str, variants: Sequence[str] = ()) -> None:
        self.found[kind] += 1
        self.on_found(kind, image_id)
        if not self.dry_run:
            DRIFT_REPAIRED.labels(kind).inc()
        details = {"variants": list(variants)} if variants else {}
        event = "drift_found" if self.dry_run else "drift_repaired"
        log.warning(event, drift=kind, image_id=str(image_id), key=key, **details)
