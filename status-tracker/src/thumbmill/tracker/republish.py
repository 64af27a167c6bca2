"""Republishes bucket notifications that the thumbnailer may have missed."""

import json
import time
from collections.abc import Sequence
from typing import Protocol
from urllib.parse import quote_plus
from uuid import UUID

import structlog

from thumbmill.core.contracts.identity import ORIGINALS_BUCKET
from thumbmill.core.contracts.status import Status
from thumbmill.core.contracts.storage_events import parse_storage_events
from thumbmill.core.messaging.message import RUN_ID
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.messaging.topology import REPUBLISHED, STORAGE_EVENTS
from thumbmill.core.object_store.errors import InvalidKeyError, ObjectNotFoundError
from thumbmill.core.object_store.store import ObjectMetadata, Storage
from thumbmill.tracker import metrics
from thumbmill.tracker.image_record import ImageRecord
from thumbmill.tracker.timeline import TimelineEvent, from_storage_event

log = structlog.get_logger()


class Recorder(Protocol):
    """Records events, and the rows that follow from them."""

    def record(self, events: Sequence[TimelineEvent]) -> object:
        """Raise DependencyUnavailable."""


def republish(
    publisher: Publisher, body: bytes, image_id: UUID, event_type: str, *, found_by: str, run_id: str = ""
) -> None:
    """Publish a bucket notification for the thumbnailer alone, confirmed. Raise DependencyUnavailable.

    What the thumbnailer does then belongs to the run; for a DONE image only a later run is accepted.
    """
    publisher.publish(STORAGE_EVENTS, REPUBLISHED, body, headers={RUN_ID: run_id} if run_id else None)
    metrics.REPUBLISHED.labels(found_by, event_type).inc()
    log.warning("event_republished", image_id=str(image_id), event_type=event_type, found_by=found_by)


def republish_image(
    row: ImageRecord,
    recorder: Recorder,
    storage: Storage,
    publisher: Publisher,
    *,
    by: str,
    timeline_events: tuple[TimelineEvent, ...] = (),
) -> bool:
    """Republish what the bucket holds now, for an image that should have been finished long ago.

    ``timeline_events`` are added to the image's timeline. Return False if the bucket cannot be asked about the key.
    Raise DependencyUnavailable.
    """
    has_object = row.status is not Status.DELETED
    try:
        head = find_original(storage, row.key) if has_object else None
    except InvalidKeyError as error:
        log.warning("bucket_check_impossible", image_id=str(row.id), by=by, error=str(error))
        return False
    body = make_upload_body(row.key, head) if head else make_removal_body(row.key)
    storage_event = parse_storage_events(body)[0]
    event = from_storage_event(storage_event, by, body)
    if has_object and storage_event.object_version != row.object_version:
        recorder.record([event, *timeline_events])  # the bucket changed, and no event of it arrived
    elif timeline_events:
        recorder.record(timeline_events)
    republish(publisher, body, row.id, event.type, found_by=by, run_id=row.run_id)
    return True


def find_original(storage: Storage, key: str) -> ObjectMetadata | None:
    """Return an original's metadata. Raise InvalidKeyError, DependencyUnavailable or DependencyRejected."""
    try:
        return storage.head(ORIGINALS_BUCKET, key)
    except ObjectNotFoundError:
        return None


def make_upload_body(key: str, head: ObjectMetadata) -> bytes:
    """Return the notification that MinIO would send if this object were stored now."""
    return _make_body(
        "s3:ObjectCreated:Put",
        key,
        {
            "size": head.object_version.size,
            "eTag": head.etag,
            "contentType": head.content_type,
            "userMetadata": head.metadata,
            "sequencer": f"{head.object_version.modified * 1_000_000_000:X}",
        },
    )


def make_removal_body(key: str) -> bytes:
    """Return the notification that MinIO would send if the object were removed now."""
    return _make_body("s3:ObjectRemoved:Delete", key, {"sequencer": f"{time.time_ns():X}"})


def _make_body(event_name: str, key: str, attributes: dict[str, object]) -> bytes:
    record = {
        "eventName": event_name,
        "s3": {"bucket": {"name": ORIGINALS_BUCKET}, "object": {"key": quote_plus(key), **attributes}},
    }
    return json.dumps({"EventName": event_name, "Key": f"{ORIGINALS_BUCKET}/{key}", "Records": [record]}).encode()
