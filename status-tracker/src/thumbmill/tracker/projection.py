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
    Processing,
    ProgressEvent,
    Removed,
    RequestEvent,
    Retrying,
    TimelineOnlyEvent,
    UploadRequested,
)
from thumbmill.core.contracts.identity import upload_key
from thumbmill.core.contracts.interventions import DriftRepaired, RetryRequested
from thumbmill.core.contracts.status import Status
from thumbmill.core.contracts.storage_events import StorageEvent
from thumbmill.tracker.image_record import SPENT, BucketState, ImageRecord
from thumbmill.tracker.timeline import TimelineEvent

_RESET_PROGRESS: dict[str, Any] = {
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
    head_object: Callable[[], BucketState],
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
        if row is None and purgeable and head_object().object_version is None:
            continue  # there is no such image any more
        doubtful = removal_known or purgeable
        seen = head_object() if needs_bucket_check(row, fact, removal_known=doubtful, overwrite=overwrite) else None
        row = apply(row, fact, seen, overwrite=overwrite)
        removal_known = removal_known or fact.is_removal
    return row


def needs_bucket_check(
    row: ImageRecord | None, fact: TimelineEvent, *, removal_known: bool, overwrite: bool = False
) -> bool:
    """Tell whether only the bucket can say what to make of a fact."""
    if isinstance(fact.payload, UploadRequested | RequestEvent | TimelineOnlyEvent):
        return False
    if row is None or row.object_version is None:
        return removal_known and fact.object_version is not None
    if fact.is_removal:
        return row.status is not Status.DELETED
    return (
        row.status is Status.DELETED
        or fact.object_version != row.object_version
        or is_rejected(row, fact, overwrite=overwrite)
    )


def is_rejected(row: ImageRecord, fact: TimelineEvent, *, overwrite: bool) -> bool:
    """Tell whether a form has brought a file that it was no longer good for.

    The same bytes again are no other file: a client whose answer was lost sends them a second time.
    """
    if not fact.is_form_upload or row.presigned_upload is None or _is_known_by(row.presigned_upload, fact):
        return False
    return row.presigned_upload == SPENT or not overwrite


def apply(
    row: ImageRecord | None, fact: TimelineEvent, seen: BucketState | None = None, *, overwrite: bool = False
) -> ImageRecord | None:
    """Give the row after a fact; the same row if the fact changes nothing. None: there is no such image."""
    if isinstance(fact.payload, UploadRequested | RequestEvent | TimelineOnlyEvent):
        return _intended(row, fact, fact.payload)
    if row is None or row.object_version is None:
        if fact.object_version is None:
            return row  # the removal of what never was
        row = _first_source(row, fact)
    if seen is not None:
        row = _reconcile_with_bucket(row, fact, seen, overwrite=overwrite)
    if row.status is Status.DELETED:
        return _without_variants(row) if isinstance(fact.payload, Removed) else row
    if fact.object_version == row.object_version:
        row = _fill_missing(row, fact)
        if isinstance(fact.payload, Done) and row.presigned_upload and row.presigned_upload != SPENT:
            row = _compared(row, fact.payload, overwrite=overwrite)
            if row.status is Status.DELETED:
                return row
        if not isinstance(fact.payload, StorageEvent | Removed):
            told = _apply_progress(row, fact.payload)
            return told if told.rank > row.rank else row
    return row


def needs_processing(row: ImageRecord | None, fact: TimelineEvent) -> bool:
    """Tell whether a bucket's event still waits to be acted upon, as far as the row shows."""
    if row is None or not isinstance(fact.payload, StorageEvent):
        return False
    if row.status is Status.DELETED:
        return not row.variants_removed  # an upload makes it look too: its removal may have been here first
    return row.status is Status.PENDING and fact.object_version == row.object_version


def _intended(
    row: ImageRecord | None, fact: TimelineEvent, payload: UploadRequested | RequestEvent | TimelineOnlyEvent
) -> ImageRecord | None:
    """Follow what somebody means to do; of what an operator did with a letter nothing follows for the row."""
    match payload:
        case UploadRequested():
            return _requested(row, fact, payload)
        case RetryRequested():
            return _asked_again(row, payload)
        case DriftRepaired():
            return _remade(row, payload)
        case _:
            return row


def _requested(row: ImageRecord | None, fact: TimelineEvent, ticket: UploadRequested) -> ImageRecord:
    row = row or ImageRecord(fact.image_id, fact.key, fact.occurred)
    if row.status is Status.DELETED:
        return replace(row, expires_at=row.expires_at or ticket.expires_at, presigned_upload=SPENT)
    return replace(_fill_missing(row, fact), expires_at=row.expires_at or ticket.expires_at)


def _asked_again(row: ImageRecord | None, asked: RetryRequested) -> ImageRecord | None:
    """Let a FAILED image wait once more, if it is the failure that was spoken of."""
    if row is None or row.status is not Status.FAILED or row.error is None:
        return row
    if (row.object_version, row.run_id) != (asked.object_version, asked.after) or asked.run_id <= row.run_id:
        return row
    if not (row.error.retryable or asked.forced):
        return row
    return replace(row, **{**_RESET_PROGRESS, "run_id": asked.run_id}, status=Status.PENDING)


def _remade(row: ImageRecord | None, healed: DriftRepaired) -> ImageRecord | None:
    """Note which variants are missing until a later run is done."""
    if (
        row is None
        or row.status is not Status.DONE
        or row.object_version != healed.object_version
        or healed.run_id <= row.run_id
    ):
        return row
    missing = tuple(variant.key for variant in row.variants if variant.key in {*row.missing, *healed.missing})
    return row if missing == row.missing else replace(row, missing=missing)


def _first_source(row: ImageRecord | None, fact: TimelineEvent) -> ImageRecord:
    row = row or ImageRecord(fact.image_id, fact.key, fact.occurred)
    return replace(row, status=Status.PENDING, object_version=fact.object_version, generation=1)


def _reconcile_with_bucket(
    row: ImageRecord, fact: TimelineEvent, seen: BucketState, *, overwrite: bool
) -> ImageRecord:
    """Believe the bucket, but for what is not to be there."""
    if is_rejected(row, fact, overwrite=overwrite) and seen.object_version == fact.object_version:
        row = replace(row, rejected_version=seen.object_version, variants_removed=False)
    if fact.is_removal and seen.object_version != row.object_version and (row.presigned_upload or row.expires_at):
        row = replace(row, presigned_upload=SPENT)
    if seen.object_version is None or seen.object_version == row.rejected_version:
        return row if row.status is Status.DELETED else _deleted(row)
    if seen.object_version == row.object_version and row.status is not Status.DELETED:
        return row
    return replace(
        row,
        **_RESET_PROGRESS,
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
    presigned_upload = SPENT if row.presigned_upload or row.expires_at else None
    gone = replace(
        row, **_RESET_PROGRESS, status=Status.DELETED, variants_removed=False, presigned_upload=presigned_upload
    )
    return replace(gone, file_name=None, content_type=None)


def _without_variants(row: ImageRecord) -> ImageRecord:
    """Forget a key that a client chose, too, once nothing is left that only it leads to."""
    return replace(row, variants_removed=True, key=row.key if row.key == upload_key(row.id) else "")


def _compared(row: ImageRecord, done: Done, *, overwrite: bool) -> ImageRecord:
    """Hold what a form brought by its bytes, too: whoever has the form can forge ETag and date, but no SHA-256."""
    etag, size, *known = (row.presigned_upload or "").split("/")
    if known and known != [done.sha256] and not overwrite:
        return _deleted(replace(row, rejected_version=done.object_version))
    return replace(row, presigned_upload=f"{etag}/{size}/{done.sha256}")


def _brought(fact: TimelineEvent) -> str:
    return f"{fact.object_version.etag}/{fact.object_version.size}" if fact.object_version else ""


def _is_known_by(presigned_upload: str, fact: TimelineEvent) -> bool:
    return f"{presigned_upload}/".startswith(f"{_brought(fact)}/")


def _fill_missing(row: ImageRecord, fact: TimelineEvent) -> ImageRecord:
    """Fill in what earlier facts left open."""
    file_name = row.file_name or getattr(fact.payload, "file_name", None)
    content_type = row.content_type or getattr(fact.payload, "content_type", None)
    presigned_upload = row.presigned_upload
    if fact.is_form_upload and not (presigned_upload and _is_known_by(presigned_upload, fact)):
        presigned_upload = _brought(fact)
    if (file_name, content_type, presigned_upload) == (row.file_name, row.content_type, row.presigned_upload):
        return row
    return replace(row, file_name=file_name, content_type=content_type, presigned_upload=presigned_upload)


def _apply_progress(row: ImageRecord, payload: ProgressEvent) -> ImageRecord:
    """Give the row as it is if the thumbnailer's word is the last."""
    clean = replace(row, **{**_RESET_PROGRESS, "run_id": payload.run_id, "attempts": payload.attempt})
    match payload:
        case Processing():
            return replace(clean, status=Status.PROCESSING)
        case Retrying():
            return replace(clean, status=Status.PROCESSING, next_attempt_at=payload.next_attempt_at)
        case Failed():
            return replace(clean, status=Status.FAILED, error=payload.error)
        case Done():
            return replace(
                clean,
                status=Status.DONE,
                format=payload.format,
                width=payload.width,
                height=payload.height,
                sha256=payload.sha256,
                variants=tuple(payload.variants),
                details=payload.details,
                damaged=payload.damaged,
            )
