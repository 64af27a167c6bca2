"""What a fact makes of an image's row. Pure: no database, no bucket, no clock.

    upload.requested          ObjectCreated            image.processing          image.done
    ---------------> AWAITING_UPLOAD -----> PENDING -----------> PROCESSING -----------> DONE
                                              ^ ^                     |  image.failed
              another object under the key:   | |                     +----------------> FAILED
              a new generation of any state --+ |
                                                +-- an object again --- DELETED <-- ObjectRemoved, from any state

Facts come twice, late and in any order; the row must end where the bucket is. So a fact that would change the row's
source, or set or leave DELETED, is only a reason to look into the bucket, and what is seen there is believed. Facts
about the row's own source are ordered among themselves. A first fact is believed without a look, since that is the
common path, unless a removal came ahead of it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pipeline.details import Details
from pipeline.events import (
    Done,
    Failed,
    Failure,
    Processing,
    Progress,
    Removed,
    Retrying,
    UploadRequested,
    Variant,
)
from pipeline.identity import Source
from pipeline.notifications import StorageEvent
from status_tracker.facts import Fact, Note


class Status(StrEnum):
    """A state as the API says it; EXPIRED is computed by the database's view."""

    AWAITING_UPLOAD = "AWAITING_UPLOAD"
    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    DONE = "DONE"
    FAILED = "FAILED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True)
class Row:
    """What is known of an image; another object under the same key is a new generation of it."""

    id: UUID
    key: str
    created_at: datetime
    status: Status = Status.AWAITING_UPLOAD
    source: Source | None = None  # None until there was an object
    generation: int = 0
    file_name: str | None = None
    content_type: str | None = None
    expires_at: datetime | None = None  # the ticket's
    variants_removed: bool = False  # means something when DELETED
    version: int = 0  # of the row in the database

    # What the thumbnailer said of this source.
    run: str = ""
    attempts: int = 0
    next_attempt_at: datetime | None = None
    error: Failure | None = None
    format: str | None = None
    width: int | None = None  # pixels
    height: int | None = None  # pixels
    sha256: str | None = None
    variants: tuple[Variant, ...] = ()
    details: Details | None = None
    damaged: bool = False

    @property
    def rank(self) -> tuple[bool, str, bool, int, datetime]:
        """How far the thumbnailer got: of two facts about one source the one of higher rank is believed.

        A later run takes a FAILED image up again. A DONE one stays so, with its variants, until that run is done.
        """
        done, failed = self.status is Status.DONE, self.status is Status.FAILED
        return done, self.run, failed, self.attempts, self.next_attempt_at or LONG_AGO


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look into the bucket showed under the key; no source: nothing is there."""

    source: Source | None
    content_type: str | None = None
    file_name: str | None = None


LONG_AGO = datetime.min.replace(tzinfo=UTC)
_NOTHING_SAID: dict[str, Any] = {
    "run": "",
    "attempts": 0,
    "next_attempt_at": None,
    "error": None,
    "format": None,
    "width": None,
    "height": None,
    "sha256": None,
    "variants": (),
    "details": None,
    "damaged": False,
}


def fold(
    row: Row | None, facts: Iterable[Fact], look: Callable[[], Seen], *, removal_known: bool = False
) -> Row | None:
    """Apply an image's facts one after the other, looking into the bucket where that is needed.

    ``removal_known`` says that the timeline has a removal of this image already.
    """
    for fact in facts:
        seen = look() if needs_look(row, fact, removal_known=removal_known) else None
        row = apply(row, fact, seen)
        removal_known = removal_known or fact.is_removal
    return row


def needs_look(row: Row | None, fact: Fact, *, removal_known: bool) -> bool:
    """Tell whether only the bucket can say what to make of a fact."""
    if isinstance(fact.said, UploadRequested | Note):
        return False
    if row is None or row.source is None:
        return removal_known and fact.source is not None
    if fact.is_removal:
        return row.status is not Status.DELETED
    return row.status is Status.DELETED or fact.source != row.source


def apply(row: Row | None, fact: Fact, seen: Seen | None = None) -> Row | None:
    """Give the row after a fact; the same row if the fact changes nothing. None: there is no such image."""
    if isinstance(fact.said, Note):
        return row
    if isinstance(fact.said, UploadRequested):
        return _requested(row, fact, fact.said)
    if row is None or row.source is None:
        if fact.source is None:
            return row  # the removal of what never was
        row = _first_source(row, fact)
    if seen is not None:
        row = _judged(row, seen)
    if row.status is Status.DELETED:
        return replace(row, variants_removed=True) if isinstance(fact.said, Removed) else row
    if fact.source == row.source:
        row = _described(row, fact)
        if not isinstance(fact.said, StorageEvent | Removed):
            told = _told(row, fact.said)
            return told if told.rank > row.rank else row
    return row


def awaits_thumbnailer(row: Row | None, fact: Fact) -> bool:
    """Tell whether a bucket's event still waits to be acted upon, as far as the row shows."""
    if row is None or not isinstance(fact.said, StorageEvent):
        return False
    if row.status is Status.DELETED:
        return not row.variants_removed  # an upload makes it look too: its removal may have been here first
    return row.status is Status.PENDING and fact.source == row.source


def _requested(row: Row | None, fact: Fact, ticket: UploadRequested) -> Row:
    row = row or Row(fact.image_id, fact.key, fact.occurred)
    return replace(_described(row, fact), expires_at=row.expires_at or ticket.expires_at)


def _first_source(row: Row | None, fact: Fact) -> Row:
    row = row or Row(fact.image_id, fact.key, fact.occurred)
    return replace(row, status=Status.PENDING, source=fact.source, generation=1)


def _judged(row: Row, seen: Seen) -> Row:
    """Believe the bucket."""
    if seen.source is None:
        gone = row.status is Status.DELETED
        return row if gone else replace(row, **_NOTHING_SAID, status=Status.DELETED, variants_removed=False)
    if seen.source == row.source and row.status is not Status.DELETED:
        return row
    return replace(
        row,
        **_NOTHING_SAID,
        status=Status.PENDING,
        source=seen.source,
        generation=row.generation + 1,
        variants_removed=False,
        content_type=seen.content_type,
        file_name=seen.file_name or row.file_name,
    )


def _described(row: Row, fact: Fact) -> Row:
    """Fill in what earlier facts left open."""
    file_name = row.file_name or getattr(fact.said, "file_name", None)
    content_type = row.content_type or getattr(fact.said, "content_type", None)
    if (file_name, content_type) == (row.file_name, row.content_type):
        return row
    return replace(row, file_name=file_name, content_type=content_type)


def _told(row: Row, said: Progress) -> Row:
    """Give the row as it is if the thumbnailer's word is the last."""
    clean = replace(row, **{**_NOTHING_SAID, "run": said.run, "attempts": said.attempt})
    match said:
        case Processing():
            return replace(clean, status=Status.PROCESSING)
        case Retrying():
            return replace(clean, status=Status.PROCESSING, next_attempt_at=said.next_attempt_at)
        case Failed():
            return replace(clean, status=Status.FAILED, error=said.error)
        case Done():
            return replace(
                clean,
                status=Status.DONE,
                format=said.format,
                width=said.width,
                height=said.height,
                sha256=said.sha256,
                variants=tuple(said.variants),
                details=said.details,
                damaged=said.damaged,
            )
