"""Telling the thumbnailer again what it may have missed."""

import json
import time
from urllib.parse import quote_plus
from uuid import UUID

import structlog

from pipeline.identity import ORIGINALS
from pipeline.messages import RUN
from pipeline.publisher import Publisher
from pipeline.storage import Head, Storage
from pipeline.storage_faults import NotThereError
from pipeline.topology import RECOVERED, STORAGE_EVENTS
from status_tracker import metrics

log = structlog.get_logger()


def announce(
    publisher: Publisher, body: bytes, image_id: UUID, event: str, *, found_by: str, run: str = ""
) -> None:
    """Publish a bucket's notification for the thumbnailer alone, confirmed. Raises DependencyAway.

    What follows of it belongs to ``run``; of a DONE image only a later run is believed.
    """
    publisher.publish(STORAGE_EVENTS, RECOVERED, body, headers={RUN: run} if run else None)
    metrics.RECOVERED.labels(found_by, event).inc()
    log.warning("announced_again", image_id=str(image_id), storage_event=event, found_by=found_by)


def find_original(storage: Storage, key: str) -> Head | None:
    """Look under a key. Raises BadKeyError, DependencyAway, Refused."""
    try:
        return storage.head(ORIGINALS, key)
    except NotThereError:
        return None


def upload_body(key: str, head: Head) -> bytes:
    """Write the notification that MinIO would send if this object were stored now."""
    return _body(
        "s3:ObjectCreated:Put",
        key,
        {
            "size": head.source.size,
            "eTag": head.etag,
            "contentType": head.content_type,
            "userMetadata": head.metadata,
            "sequencer": f"{head.source.modified * 1_000_000_000:X}",
        },
    )


def removal_body(key: str) -> bytes:
    """Write the notification that MinIO would send if the object were removed now."""
    return _body("s3:ObjectRemoved:Delete", key, {"sequencer": f"{time.time_ns():X}"})


def _body(name: str, key: str, facts: dict[str, object]) -> bytes:
    thing = {"key": quote_plus(key), **facts}
    record = {"eventName": name, "s3": {"bucket": {"name": ORIGINALS}, "object": thing}}
    return json.dumps({"EventName": name, "Key": f"{ORIGINALS}/{key}", "Records": [record]}).encode()
