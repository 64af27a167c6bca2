"""What is done about things that somebody noticed: variants that are not there, and files that a form was not for.

Nothing is done on anybody's word alone: the bucket is asked first. All of it can be done twice.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from pipeline.events import say
from pipeline.identity import ORIGINALS, PROCESSED, Source, image_id_of
from pipeline.notes import Healed, VariantsMissing, Withdrawn, later_run
from pipeline.notifications import parse_storage_events
from pipeline.publisher import Publisher
from pipeline.storage import Head, Storage
from pipeline.storage_faults import BadKeyError, NotThereError
from status_tracker.facts import Fact, from_said, from_storage
from status_tracker.inventory import Inventory
from status_tracker.metrics import RECONCILED, WITHDRAWN
from status_tracker.reconcile_rules import LIVE, What
from status_tracker.recovery import announce, find_original, removal_body, upload_body
from status_tracker.repository import Repository
from status_tracker.rows import Row, Status

log = structlog.get_logger()

AGAIN_AFTER = timedelta(minutes=1)  # an image's variants are made again at most so often


class Recorder(Protocol):
    """Writes facts down, and the rows that follow from them."""

    def record(self, facts: Sequence[Fact]) -> object:
        """Raises DependencyAway."""


def answer_missing(
    said: VariantsMissing,
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
    inventory = Inventory(repository)
    fact = from_said(say(said, by=by), said, b"")
    row = inventory.find([fact.image_id]).get(fact.image_id)
    if row is None or row.status not in LIVE or row.source != said.source:
        return
    try:
        head = find_original(storage, row.key)
    except BadKeyError:
        return
    if head is None or head.source != row.source:  # whoever should have told of it may be about to
        body = upload_body(row.key, head) if head else removal_body(row.key)
        event = parse_storage_events(body)[0]
        announce(publisher, body, row.id, event.name, found_by=by)
        tracker.record([from_storage(event, by, body)])
        return
    if row.status is not Status.DONE:
        return
    wanted = {variant.key for variant in row.variants} & set(said.missing)
    make_again(row, head, sorted(wanted), tracker, inventory, storage, publisher, by=by, age=AGAIN_AFTER)


def make_again(
    row: Row,
    head: Head,
    keys: Sequence[str],
    tracker: Recorder,
    inventory: Inventory,
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
    note = note_healed(What.VARIANTS_GONE, row.key, row.source, by=by, run=later_run(row.run), gone=gone)
    assert isinstance(note.said, Healed)  # noqa: S101 - made so above
    body = upload_body(row.key, head)
    event = parse_storage_events(body)[0]
    announce(publisher, body, row.id, event.name, found_by=by, run=note.said.run)
    tracker.record([note])
    RECONCILED.labels(What.VARIANTS_GONE).inc()
    log.warning("healed", what=What.VARIANTS_GONE, image_id=str(row.id), key=row.key, variants=gone)
    return gone


def note_healed(
    what: What, key: str, source: Source | None, *, by: str, run: str = "", gone: Sequence[str] = ()
) -> Fact:
    """Say that something was found and is being put right."""
    now = datetime.now(UTC)
    said = Healed(key=key, source=source, what=what, run=run or later_run("", now), gone=list(gone))
    return from_said(say(said, by=by, now=now), said, b"")


def withdraw(key: str, source: Source, tracker: Recorder, storage: Storage, *, by: str) -> None:
    """Remove the object that a form was not good for, if it is still that one, and note it. Raises DependencyAway.

    S3 knows no conditional DELETE: what replaces the object between our HEAD and our DELETE goes with it, and that
    can only have come by the same form, or by a key of root's.
    """
    head = find_original(storage, key)
    if head and head.source == source:
        storage.delete(ORIGINALS, key)
        WITHDRAWN.inc()
        log.warning("withdrawn", image_id=str(image_id_of(key)), key=key, source=str(source))
    said = Withdrawn(key=key, source=source)
    tracker.record([from_said(say(said, by=by), said, b"")])


def find_variant(storage: Storage, key: str) -> Source | None:
    """Look for a variant. Raises DependencyAway."""
    try:
        return storage.head(PROCESSED, key).source
    except NotThereError:
        return None
