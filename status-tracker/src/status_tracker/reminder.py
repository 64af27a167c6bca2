"""Telling the thumbnailer of an image that it should have finished long ago."""

import structlog

from pipeline.notifications import parse_storage_events
from pipeline.publisher import Publisher
from pipeline.storage import Storage
from pipeline.storage_faults import BadKeyError
from status_tracker.facts import Fact, from_storage
from status_tracker.recovery import announce, find_original, removal_body, upload_body
from status_tracker.requests import Recorder
from status_tracker.rows import Row, Status

log = structlog.get_logger()


def tell_again(
    row: Row, tracker: Recorder, storage: Storage, publisher: Publisher, *, by: str, notes: tuple[Fact, ...] = ()
) -> bool:
    """Announce what the bucket holds now, if it can be asked; ``notes`` go into the image's timeline.

    Raises DependencyAway.
    """
    live = row.status is not Status.DELETED
    try:
        head = find_original(storage, row.key) if live else None
    except BadKeyError as fault:
        log.warning("cannot_look", image_id=str(row.id), by=by, fault=str(fault))
        return False
    body = upload_body(row.key, head) if head else removal_body(row.key)
    event = parse_storage_events(body)[0]
    fact = from_storage(event, by, body)
    if live and event.source != row.source:
        tracker.record([fact, *notes])  # the bucket moved on, and nobody said so
    elif notes:
        tracker.record(notes)
    announce(publisher, body, row.id, fact.type, found_by=by, run=row.run)
    return True
