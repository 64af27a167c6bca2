"""What is done about things that somebody noticed: variants that are not there, and files that a form was not for.

Nothing is done on anybody's word alone: the bucket is asked first. All of it can be done twice.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from thumbmill.core.contracts.cloud_event import to_cloud_event
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, VARIANTS_BUCKET, ObjectVersion, image_id_of
from thumbmill.core.contracts.interventions import DriftRepaired, ObjectRejected, VariantsMissing, next_run_id
from thumbmill.core.contracts.status import Status
from thumbmill.core.contracts.storage_events import parse_storage_events
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.object_store.errors import InvalidKeyError, ObjectNotFoundError
from thumbmill.core.object_store.store import ObjectMetadata, Storage
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.image_record import ImageRecord
from thumbmill.tracker.metrics import RECONCILED, WITHDRAWN
from thumbmill.tracker.reconciliation.drift import LIVE, DriftKind
from thumbmill.tracker.reconciliation.repository import ReconciliationRepository
from thumbmill.tracker.republish import find_original, removal_body, republish, upload_body
from thumbmill.tracker.timeline import TimelineEvent, from_lifecycle_event, from_storage_event

log = structlog.get_logger()

AGAIN_AFTER = timedelta(minutes=1)  # an image's variants are made again at most so often


class Recorder(Protocol):
    """Writes facts down, and the rows that follow from them."""

    def record(self, facts: Sequence[TimelineEvent]) -> object:
        """Record events, and the rows that follow. Raises DependencyUnavailable."""


def replace_missing_variants(
    payload: VariantsMissing,
    tracker: Recorder,
    repository: Repository,
    storage: Storage,
    publisher: Publisher,
    *,
    by: str,
) -> None:
    """Look for what somebody missed of a DONE image, and have it made again, or note that the object is gone.

    Raises DependencyAway.
    """
    inventory = ReconciliationRepository(repository)
    fact = from_lifecycle_event(to_cloud_event(payload, by=by), payload, b"")
    row = inventory.find([fact.image_id]).get(fact.image_id)
    if row is None or row.status not in LIVE or row.object_version != payload.object_version:
        return
    try:
        head = find_original(storage, row.key)
    except InvalidKeyError:
        return
    if head is None or head.object_version != row.object_version:  # whoever should have told of it may be about to
        body = upload_body(row.key, head) if head else removal_body(row.key)
        event = parse_storage_events(body)[0]
        republish(publisher, body, row.id, event.name, found_by=by)
        tracker.record([from_storage_event(event, by, body)])
        return
    if row.status is not Status.DONE:
        return
    wanted = {variant.key for variant in row.variants} & set(payload.missing)
    reprocess(row, head, sorted(wanted), tracker, inventory, storage, publisher, by=by, age=AGAIN_AFTER)


def reprocess(
    row: ImageRecord,
    head: ObjectMetadata,
    keys: Sequence[str],
    tracker: Recorder,
    inventory: ReconciliationRepository,
    storage: Storage,
    publisher: Publisher,
    *,
    by: str,
    age: timedelta,
) -> list[str]:
    """Have the thumbnailer make those of a DONE image's variants that are gone, once in ``age``; give their keys.

    Raises DependencyAway.
    """
    gone = [key for key in keys if find_variant(storage, key) is None]
    if not gone or not inventory.claim(row.id, age):
        return []
    note = drift_repaired(
        DriftKind.MISSING_VARIANTS, row.key, row.object_version, by=by, run_id=next_run_id(row.run_id), gone=gone
    )
    assert isinstance(note.payload, DriftRepaired)  # noqa: S101 - made so above
    body = upload_body(row.key, head)
    event = parse_storage_events(body)[0]
    republish(publisher, body, row.id, event.name, found_by=by, run_id=note.payload.run_id)
    tracker.record([note])
    RECONCILED.labels(DriftKind.MISSING_VARIANTS).inc()
    log.warning("healed", what=DriftKind.MISSING_VARIANTS, image_id=str(row.id), key=row.key, variants=gone)
    return gone


def drift_repaired(
    what: DriftKind,
    key: str,
    object_version: ObjectVersion | None,
    *,
    by: str,
    run_id: str = "",
    gone: Sequence[str] = (),
) -> TimelineEvent:
    """Say that something was found and is being put right."""
    now = datetime.now(UTC)
    payload = DriftRepaired(
        key=key, object_version=object_version, what=what, run_id=run_id or next_run_id("", now), missing=list(gone)
    )
    return from_lifecycle_event(to_cloud_event(payload, by=by, now=now), payload, b"")


def remove_rejected_object(
    key: str, object_version: ObjectVersion, tracker: Recorder, storage: Storage, *, by: str
) -> None:
    """Remove the object that a form was not good for, if it is still that one, and note it. Raises DependencyAway.

    S3 knows no conditional DELETE: what replaces the object between our HEAD and our DELETE goes with it, and that
    can only have come by the same form, or by a key of root's.
    """
    head = find_original(storage, key)
    if head and head.object_version == object_version:
        storage.delete(ORIGINALS_BUCKET, key)
        WITHDRAWN.inc()
        log.warning("withdrawn", image_id=str(image_id_of(key)), key=key, object_version=str(object_version))
    payload = ObjectRejected(key=key, object_version=object_version)
    tracker.record([from_lifecycle_event(to_cloud_event(payload, by=by), payload, b"")])


def find_variant(storage: Storage, key: str) -> ObjectVersion | None:
    """Look for a variant. Raises DependencyAway."""
    try:
        return storage.head(VARIANTS_BUCKET, key).object_version
    except ObjectNotFoundError:
        return None
