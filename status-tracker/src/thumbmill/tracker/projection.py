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
from dataclasses import replace
from typing import Any

from thumbmill.core.contracts.events import (
    Done,
    Failed,
    Note,
    Processing,
    Progress,
    Removed,
    Request,
    Retrying,
    UploadRequested,
)
from thumbmill.core.contracts.identity import upload_key
from thumbmill.core.contracts.interventions import DriftRepaired, RetryRequested
from thumbmill.core.contracts.storage_events import StorageEvent
from thumbmill.tracker.image_record import SPENT, ImageRecord, Seen, Status
from thumbmill.tracker.timeline import TimelineEvent

_NOTHING_SAID: dict[str, Any] = {
    "run_id": "",
    "attempts": 0,
    "next_attempt_at": None,
    "error": None,
    "format": None,
    "width": None,
    "height": None,
    "sha256": None,
    "variants": (),
    "missing": (),
    "details": None,
    "damaged": False,
}


def fold(
    row: ImageRecord | None,
    facts: Iterable[TimelineEvent],
    look: Callable[[], Seen],
    *,
    removal_known: bool = False,
    purgeable: bool = False,
    overwrite: bool = False,
) -> ImageRecord | None:
    """Apply an image's facts one after the other, looking into the bucket where that is needed.

    ``removal_known``: the timeline has a removal of this image already. ``purgeable``: a fact is so old that the
    row which it belongs to may have been purged. ``overwrite``: a used form may bring another file.
    """
    for fact in facts:
        if row is None and purgeable and look().object_version is None:
            continue  # there is no such image any more
        doubtful = removal_known or purgeable
        seen = look() if needs_look(row, fact, removal_known=doubtful, overwrite=overwrite) else None
        row = apply(row, fact, seen, overwrite=overwrite)
        removal_known = removal_known or fact.is_removal
    return row


def needs_look(
    row: ImageRecord | None, fact: TimelineEvent, *, removal_known: bool, overwrite: bool = False
) -> bool:
    """Tell whether only the bucket can say what to make of a fact."""
    if isinstance(fact.said, UploadRequested | Request | Note):
        return False
    if row is None or row.object_version is None:
        return removal_known and fact.object_version is not None
    if fact.is_removal:
        return row.status is not Status.DELETED
    return (
        row.status is Status.DELETED
        or fact.object_version != row.object_version
        or is_refused(row, fact, overwrite=overwrite)
    )


def is_refused(row: ImageRecord, fact: TimelineEvent, *, overwrite: bool) -> bool:
    """Tell whether a form has brought a file that it was no longer good for.

    The same bytes again are no other file: a client whose answer was lost sends them a second time.
    """
    if not fact.is_by_form or row.form is None or _is_known_by(row.form, fact):
        return False
    return row.form == SPENT or not overwrite


def apply(
    row: ImageRecord | None, fact: TimelineEvent, seen: Seen | None = None, *, overwrite: bool = False
) -> ImageRecord | None:
    """Give the row after a fact; the same row if the fact changes nothing. None: there is no such image."""
    if isinstance(fact.said, UploadRequested | Request | Note):
        return _intended(row, fact, fact.said)
    if row is None or row.object_version is None:
        if fact.object_version is None:
            return row  # the removal of what never was
        row = _first_source(row, fact)
    if seen is not None:
        row = _judged(row, fact, seen, overwrite=overwrite)
    if row.status is Status.DELETED:
        return _without_variants(row) if isinstance(fact.said, Removed) else row
    if fact.object_version == row.object_version:
        row = _described(row, fact)
        if isinstance(fact.said, Done) and row.form and row.form != SPENT:
            row = _compared(row, fact.said, overwrite=overwrite)
            if row.status is Status.DELETED:
                return row
        if not isinstance(fact.said, StorageEvent | Removed):
            told = _told(row, fact.said)
            return told if told.rank > row.rank else row
    return row


def awaits_thumbnailer(row: ImageRecord | None, fact: TimelineEvent) -> bool:
    """Tell whether a bucket's event still waits to be acted upon, as far as the row shows."""
    if row is None or not isinstance(fact.said, StorageEvent):
        return False
    if row.status is Status.DELETED:
        return not row.variants_removed  # an upload makes it look too: its removal may have been here first
    return row.status is Status.PENDING and fact.object_version == row.object_version


def _intended(
    row: ImageRecord | None, fact: TimelineEvent, said: UploadRequested | Request | Note
) -> ImageRecord | None:
    """Follow what somebody means to do; of what an operator did with a letter nothing follows for the row."""
    match said:
        case UploadRequested():
            return _requested(row, fact, said)
        case RetryRequested():
            return _asked_again(row, said)
        case DriftRepaired():
            return _remade(row, said)
        case _:
            return row


def _requested(row: ImageRecord | None, fact: TimelineEvent, ticket: UploadRequested) -> ImageRecord:
    row = row or ImageRecord(fact.image_id, fact.key, fact.occurred)
    if row.status is Status.DELETED:
        return replace(row, expires_at=row.expires_at or ticket.expires_at, form=SPENT)
    return replace(_described(row, fact), expires_at=row.expires_at or ticket.expires_at)


def _asked_again(row: ImageRecord | None, asked: RetryRequested) -> ImageRecord | None:
    """Let a FAILED image wait once more, if it is the failure that was spoken of."""
    if row is None or row.status is not Status.FAILED or row.error is None:
        return row
    if (row.object_version, row.run_id) != (asked.object_version, asked.after) or asked.run_id <= row.run_id:
        return row
    if not (row.error.retryable or asked.forced):
        return row
    return replace(row, **{**_NOTHING_SAID, "run_id": asked.run_id}, status=Status.PENDING)


def _remade(row: ImageRecord | None, healed: DriftRepaired) -> ImageRecord | None:
    """Note which variants are missing until a later run is done."""
    if (
        row is None
        or row.status is not Status.DONE
        or row.object_version != healed.object_version
        or healed.run_id <= row.run_id
    ):
        return row
    missing = tuple(variant.key for variant in row.variants if variant.key in {*row.missing, *healed.gone})
    return row if missing == row.missing else replace(row, missing=missing)


def _first_source(row: ImageRecord | None, fact: TimelineEvent) -> ImageRecord:
    row = row or ImageRecord(fact.image_id, fact.key, fact.occurred)
    return replace(row, status=Status.PENDING, object_version=fact.object_version, generation=1)


def _judged(row: ImageRecord, fact: TimelineEvent, seen: Seen, *, overwrite: bool) -> ImageRecord:
    """Believe the bucket, but for what is not to be there."""
    if is_refused(row, fact, overwrite=overwrite) and seen.object_version == fact.object_version:
        row = replace(row, withdrawn=seen.object_version, variants_removed=False)
    if fact.is_removal and seen.object_version != row.object_version and (row.form or row.expires_at):
        row = replace(row, form=SPENT)
    if seen.object_version is None or seen.object_version == row.withdrawn:
        return row if row.status is Status.DELETED else _deleted(row)
    if seen.object_version == row.object_version and row.status is not Status.DELETED:
        return row
    return replace(
        row,
        **_NOTHING_SAID,
        key=row.key or fact.key,  # forgotten with the deletion
        status=Status.PENDING,
        object_version=seen.object_version,
        generation=row.generation + 1,
        variants_removed=False,
        content_type=seen.content_type,
        file_name=seen.file_name or row.file_name,
    )


def _deleted(row: ImageRecord) -> ImageRecord:
    """Keep nothing of what the file was called or showed; and its form is good for no other."""
    form = SPENT if row.form or row.expires_at else None
    gone = replace(row, **_NOTHING_SAID, status=Status.DELETED, variants_removed=False, form=form)
    return replace(gone, file_name=None, content_type=None)


def _without_variants(row: ImageRecord) -> ImageRecord:
    """Forget a key that a client chose, too, once nothing is left that only it leads to."""
    return replace(row, variants_removed=True, key=row.key if row.key == upload_key(row.id) else "")


def _compared(row: ImageRecord, done: Done, *, overwrite: bool) -> ImageRecord:
    """Hold what a form brought by its bytes, too: whoever has the form can forge ETag and date, but no SHA-256."""
    etag, size, *known = (row.form or "").split("/")
    if known and known != [done.sha256] and not overwrite:
        return _deleted(replace(row, withdrawn=done.object_version))
    return replace(row, form=f"{etag}/{size}/{done.sha256}")


def _brought(fact: TimelineEvent) -> str:
    return f"{fact.object_version.etag}/{fact.object_version.size}" if fact.object_version else ""


def _is_known_by(form: str, fact: TimelineEvent) -> bool:
    return f"{form}/".startswith(f"{_brought(fact)}/")


def _described(row: ImageRecord, fact: TimelineEvent) -> ImageRecord:
    """Fill in what earlier facts left open."""
    file_name = row.file_name or getattr(fact.said, "file_name", None)
    content_type = row.content_type or getattr(fact.said, "content_type", None)
    form = row.form
    if fact.is_by_form and not (form and _is_known_by(form, fact)):
        form = _brought(fact)
    if (file_name, content_type, form) == (row.file_name, row.content_type, row.form):
        return row
    return replace(row, file_name=file_name, content_type=content_type, form=form)


def _told(row: ImageRecord, said: Progress) -> ImageRecord:
    """Give the row as it is if the thumbnailer's word is the last."""
    clean = replace(row, **{**_NOTHING_SAID, "run_id": said.run_id, "attempts": said.attempt})
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
