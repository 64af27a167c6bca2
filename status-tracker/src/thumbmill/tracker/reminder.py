"""Telling the thumbnailer of an image that it should have finished long ago."""

import structlog

from thumbmill.core.contracts.status import Status
from thumbmill.core.contracts.storage_events import parse_storage_events
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.object_store.errors import InvalidKeyError
from thumbmill.core.object_store.store import Storage
from thumbmill.tracker.image_record import ImageRecord
from thumbmill.tracker.republish import find_original, removal_body, republish, upload_body
from thumbmill.tracker.requests import Recorder
from thumbmill.tracker.timeline import TimelineEvent, from_storage_event

log = structlog.get_logger()


def republish_image(
    row: ImageRecord,
    tracker: Recorder,
    storage: Storage,
    publisher: Publisher,
    *,
    by: str,
    notes: tuple[TimelineEvent, ...] = (),
) -> bool:
    """Announce what the bucket holds now, if it can be asked; ``notes`` go into the image's timeline.

    Raises DependencyAway.
    """
    live = row.status is not Status.DELETED
    try:
        head = find_original(storage, row.key) if live else None
    except InvalidKeyError as fault:
        log.warning("cannot_look", image_id=str(row.id), by=by, fault=str(fault))
        return False
    body = upload_body(row.key, head) if head else removal_body(row.key)
    event = parse_storage_events(body)[0]
    fact = from_storage_event(event, by, body)
    if live and event.object_version != row.object_version:
        tracker.record([fact, *notes])  # the bucket moved on, and nobody said so
    elif notes:
        tracker.record(notes)
    republish(publisher, body, row.id, fact.type, found_by=by, run_id=row.run_id)
    return True
