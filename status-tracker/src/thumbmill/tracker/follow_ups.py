"""What follows from some events: missing variants are generated again, rejected objects are deleted.

No event is trusted without asking the bucket. Each action can be repeated without harm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from thumbmill.core.contracts.cloud_event import to_cloud_event
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, VARIANTS_BUCKET, ObjectVersion, image_id_of
from thumbmill.core.contracts.interventions import DriftRepaired, ObjectRejected, VariantsMissing, next_run_id
from thumbmill.core.contracts.status import Status
from thumbmill.core.contracts.storage_events import parse_storage_events
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.object_store.errors import InvalidKeyError, ObjectNotFoundError
from thumbmill.core.object_store.store import ObjectMetadata, Storage
from thumbmill.tracker.image_record import ImageRecord
from thumbmill.tracker.metrics import DRIFT_REPAIRED, REJECTED
from thumbmill.tracker.reconciliation.drift import HAS_OBJECT, DriftKind
from thumbmill.tracker.reconciliation.repository import ReconciliationRepository
from thumbmill.tracker.republish import Recorder, find_original, make_removal_body, make_upload_body, republish
from thumbmill.tracker.timeline import TimelineEvent, from_lifecycle_event, from_storage_event

log = structlog.get_logger()

REPROCESS_INTERVAL = timedelta(minutes=1)  # an image's variants are generated again at most this often


@dataclass(frozen=True)
class Reprocessor:
    """Has missing variants of DONE images generated again. Belongs to one thread, as its parts do."""

    recorder: Recorder
    repository: ReconciliationRepository
    storage: Storage
    publisher: Publisher
    recorded_by: str  # as the timeline shows it

    def replace_missing(self, reported: VariantsMissing) -> None:
        """Check what was reported missing. Have it generated again, or record that the original is missing.

        Raise DependencyUnavailable.
        """
        image_id = image_id_of(reported.key)
        row = self.repository.find([image_id]).get(image_id)
        if row is None or row.status not in HAS_OBJECT or row.object_version != reported.object_version:
            return
        try:
            head = find_original(self.storage, row.key)
        except InvalidKeyError:
            return
        if head is None or head.object_version != row.object_version:  # its own event may still be on its way
            body = make_upload_body(row.key, head) if head else make_removal_body(row.key)
            event = parse_storage_events(body)[0]
            republish(self.publisher, body, row.id, event.name, found_by=self.recorded_by)
            self.recorder.record([from_storage_event(event, self.recorded_by, body)])
            return
        if row.status is Status.DONE:
            keys = {variant.key for variant in row.variants} & set(reported.missing)
            self.reprocess(row, head, sorted(keys), age=REPROCESS_INTERVAL)

    def reprocess(
        self, row: ImageRecord, head: ObjectMetadata, keys: Sequence[str], *, age: timedelta
    ) -> list[str]:
        """Have those of a DONE image's variants that are missing generated again, once in ``age``.

        Return their keys. Raise DependencyUnavailable.
        """
        missing = [key for key in keys if find_variant(self.storage, key) is None]
        if not missing or not self.repository.claim(row.id, age):
            return []
        run_id = next_run_id(row.run_id)
        event = make_drift_event(
            DriftKind.MISSING_VARIANTS,
            row.key,
            row.object_version,
            by=self.recorded_by,
            run_id=run_id,
            missing=missing,
        )
        body = make_upload_body(row.key, head)
        event_name = parse_storage_events(body)[0].name
        republish(self.publisher, body, row.id, event_name, found_by=self.recorded_by, run_id=run_id)
        self.recorder.record([event])
        DRIFT_REPAIRED.labels(DriftKind.MISSING_VARIANTS).inc()
        log.warning(
            "drift_repaired", drift=DriftKind.MISSING_VARIANTS, image_id=str(row.id), key=row.key, variants=missing
        )
        return missing


def make_drift_event(
    drift: DriftKind,
    key: str,
    object_version: ObjectVersion | None,
    *,
    by: str,
    run_id: str = "",
    missing: Sequence[str] = (),
) -> TimelineEvent:
    """Return the timeline's event that drift was found and is being repaired."""
    now = datetime.now(UTC)
    payload = DriftRepaired(
        key=key,
        object_version=object_version,
        drift=drift,
        run_id=run_id or next_run_id("", now),
        missing=list(missing),
    )
    return from_lifecycle_event(to_cloud_event(payload, by=by, now=now), payload, b"")


def delete_rejected_object(
    key: str, object_version: ObjectVersion, recorder: Recorder, storage: Storage, *, by: str
) -> None:
    """Delete an object that was rejected, if the bucket still holds it, and record that.

    S3 has no conditional DELETE. An object that replaces it between our HEAD and our DELETE is deleted, too. It can
    only have come by the same presigned form, or with the root user's key. Raise DependencyUnavailable.
    """
    head = find_original(storage, key)
    if head and head.object_version == object_version:
        storage.delete(ORIGINALS_BUCKET, key)
        REJECTED.inc()
        log.warning("object_rejected", image_id=str(image_id_of(key)), key=key, object_version=str(object_version))
    payload = ObjectRejected(key=key, object_version=object_version)
    recorder.record([from_lifecycle_event(to_cloud_event(payload, by=by), payload, b"")])


def find_variant(storage: Storage, key: str) -> ObjectVersion | None:
    """Return the version of a variant, None if it does not exist. Raise DependencyUnavailable."""
    try:
        return storage.head(VARIANTS_BUCKET, key).object_version
    except ObjectNotFoundError:
        return None
