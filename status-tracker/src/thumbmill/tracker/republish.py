"""Telling the thumbnailer again what it may have missed."""

import json
import time
from urllib.parse import quote_plus
from uuid import UUID

import structlog

from thumbmill.core.contracts.identity import ORIGINALS_BUCKET
from thumbmill.core.messaging.message import RUN_ID
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.messaging.topology import REPUBLISHED, STORAGE_EVENTS
from thumbmill.core.object_store.errors import ObjectNotFoundError
from thumbmill.core.object_store.store import ObjectMetadata, Storage
from thumbmill.tracker import metrics

log = structlog.get_logger()


def republish(
    publisher: Publisher, body: bytes, image_id: UUID, event: str, *, found_by: str, run_id: str = ""
) -> None:
    """Publish a bucket's notification for the thumbnailer alone, confirmed. Raises DependencyAway.

    What follows of it belongs to ``run``; of a DONE image only a later run is believed.
    """
    publisher.publish(STORAGE_EVENTS, REPUBLISHED, body, headers={RUN_ID: run_id} if run_id else None)
    metrics.RECOVERED.labels(found_by, event).inc()
    log.warning("announced_again", image_id=str(image_id), storage_event=event, found_by=found_by)


def find_original(storage: Storage, key: str) -> ObjectMetadata | None:
    """Look under a key. Raises BadKeyError, DependencyAway, Refused."""
    try:
        return storage.head(ORIGINALS_BUCKET, key)
    except ObjectNotFoundError:
        return None


def upload_body(key: str, head: ObjectMetadata) -> bytes:
    """Write the notification that MinIO would send if this object were stored now."""
    return _body(
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


def removal_body(key: str) -> bytes:
    """Write the notification that MinIO would send if the object were removed now."""
    return _body("s3:ObjectRemoved:Delete", key, {"sequencer": f"{time.time_ns():X}"})


def _body(name: str, key: str, facts: dict[str, object]) -> bytes:
    thing = {"key": quote_plus(key), **facts}
    record = {"eventName": name, "s3": {"bucket": {"name": ORIGINALS_BUCKET}, "object": thing}}
    return json.dumps({"EventName": name, "Key": f"{ORIGINALS_BUCKET}/{key}", "Records": [record]}).encode()
