"""The changes of a row that the projection chooses from. Pure; each returns the same row if nothing changes."""

from dataclasses import replace
from typing import Any

from thumbmill.core.contracts.events import (
    Done,
    Failed,
    Processing,
    ProgressEvent,
    Retrying,
    UploadExpired,
    UploadRequested,
)
from thumbmill.core.contracts.identity import is_upload_key
from thumbmill.core.contracts.interventions import DriftRepaired, RetryRequested
from thumbmill.core.contracts.status import Status
from thumbmill.tracker.image_record import SPENT, BucketState, ImageRecord
from thumbmill.tracker.presigned_uploads import fingerprint, is_rejected, matches
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


def apply_upload_request(row: ImageRecord | None, event: TimelineEvent, request: UploadRequested) -> ImageRecord:
    """Add what the gateway has signed in a presigned form. This event may come after the upload's.

    The ticket of an idempotency key may be renewed: the latest one counts, also if an earlier one has expired.
    """
    row = row or ImageRecord(event.image_id, event.key, event.occurred)
    expires_at = max(row.expires_at or request.expires_at, request.expires_at)
    if row.status is Status.DELETED:
        return replace(row, expires_at=expires_at, presigned_upload=SPENT)
    is_renewed = row.status is Status.EXPIRED and expires_at != row.expires_at
    status = Status.AWAITING_UPLOAD if is_renewed else row.status
    return replace(fill_missing(row, event), expires_at=expires_at, status=status)


def apply_upload_expiry(row: ImageRecord | None, expired: UploadExpired) -> ImageRecord | None:
    """Mark an image as EXPIRED, unless something was uploaded at the last moment, or the ticket was renewed."""
    if row is None or row.status not in {Status.AWAITING_UPLOAD, Status.EXPIRED}:
        return row
    if row.expires_at and expired.expires_at < row.expires_at:
        return row
    return replace(row, status=Status.EXPIRED, expires_at=expired.expires_at)


def apply_retry_request(row: ImageRecord | None, request: RetryRequested) -> ImageRecord | None:
    """Make a FAILED image PENDING again, if the request is about that failure."""
    if row is None or row.status is not Status.FAILED or row.error is None:
        return row
    if (row.object_version, row.run_id) != (request.object_version, request.after) or request.run_id <= row.run_id:
        return row
    if not (row.error.retryable or request.forced):
        return row
    return replace(row, **{**_RESET_PROGRESS, "run_id": request.run_id}, status=Status.PENDING)


def apply_missing_variants(row: ImageRecord | None, repaired: DriftRepaired) -> ImageRecord | None:
    """Record which variants are missing until a later run is done."""
    if (
        row is None
        or row.status is not Status.DONE
        or row.object_version != repaired.object_version
        or repaired.run_id <= row.run_id
    ):
        return row
    missing = tuple(variant.key for variant in row.variants if variant.key in {*row.missing, *repaired.missing})
    return row if missing == row.missing else replace(row, missing=missing)


def start_first_generation(row: ImageRecord | None, event: TimelineEvent) -> ImageRecord:
    """Return the row of an image whose first object version is known now."""
    row = row or ImageRecord(event.image_id, event.key, event.occurred)
    return replace(row, status=Status.PENDING, object_version=event.object_version, generation=1)


def reconcile_with_bucket(
    row: ImageRecord, event: TimelineEvent, bucket: BucketState, *, overwrite: bool
) -> ImageRecord:
    """Make the row agree with the bucket. A rejected object counts as missing."""
    if is_rejected(row, event, overwrite=overwrite) and bucket.object_version == event.object_version:
        row = replace(row, rejected_version=bucket.object_version, variants_removed=False)
    if (
        event.is_removal
        and bucket.object_version != row.object_version
        and (row.presigned_upload or row.expires_at)
    ):
        row = replace(row, presigned_upload=SPENT)
    if bucket.object_version is None or bucket.object_version == row.rejected_version:
        return row if row.status is Status.DELETED else delete(row)
    if bucket.object_version == row.object_version and row.status is not Status.DELETED:
        return row
    return replace(
        row,
        **_RESET_PROGRESS,
        key=row.key or event.key,  # forgotten with the deletion
        status=Status.PENDING,
        object_version=bucket.object_version,
        generation=row.generation + 1,
        variants_removed=False,
        content_type=bucket.content_type,
        file_name=bucket.file_name or row.file_name,
        batch=bucket.batch or row.batch,
    )


def delete(row: ImageRecord) -> ImageRecord:
    """Mark an image as DELETED. Forget the file's name and content, and let its form store no other file."""
    presigned_upload = SPENT if row.presigned_upload or row.expires_at else None
    return replace(
        row,
        **_RESET_PROGRESS,
        status=Status.DELETED,
        variants_removed=False,
        presigned_upload=presigned_upload,
        file_name=None,
        content_type=None,
    )


def record_variants_removed(row: ImageRecord) -> ImageRecord:
    """Record that no variant is left, so that a key which a client chose can be forgotten, too."""
    return replace(row, variants_removed=True, key=row.key if is_upload_key(row.key) else "")


def check_uploaded_bytes(row: ImageRecord, done: Done, *, overwrite: bool) -> ImageRecord:
    """Compare the files that a form stored by SHA-256, too: a client can forge ETag and date, but not that."""
    if not row.presigned_upload or row.presigned_upload == SPENT:
        return row
    etag, size, *known = row.presigned_upload.split("/")
    if known and known != [done.sha256] and not overwrite:
        return delete(replace(row, rejected_version=done.object_version))
    return replace(row, presigned_upload=f"{etag}/{size}/{done.sha256}")


def fill_missing(row: ImageRecord, event: TimelineEvent) -> ImageRecord:
    """Fill in what earlier events left open."""
    presigned_upload = row.presigned_upload
    if event.is_form_upload and not (presigned_upload and matches(presigned_upload, event)):
        presigned_upload = fingerprint(event)
    file_name, content_type = row.file_name or event.file_name, row.content_type or event.content_type
    batch = row.batch or event.batch
    if (file_name, content_type, batch) == (row.file_name, row.content_type, row.batch) and (
        presigned_upload == row.presigned_upload
    ):
        return row
    return replace(
        row, file_name=file_name, content_type=content_type, batch=batch, presigned_upload=presigned_upload
    )


def apply_progress(row: ImageRecord, progress: ProgressEvent) -> ImageRecord:
    """Return the row that follows from an event of the thumbnailer, if no other event outranks it."""
    changed = {**_RESET_PROGRESS, "run_id": progress.run_id, "attempts": progress.attempt}
    match progress:
        case Processing():
            changed |= {"status": Status.PROCESSING}
        case Retrying():
            changed |= {"status": Status.PROCESSING, "next_attempt_at": progress.next_attempt_at}
        case Failed():
            changed |= {"status": Status.FAILED, "error": progress.error}
        case Done():
            changed |= {
                "status": Status.DONE,
                "format": progress.format,
                "width": progress.width,
                "height": progress.height,
                "sha256": progress.sha256,
                "variants": tuple(progress.variants),
                "details": progress.details,
                "damaged": progress.damaged,
            }
    return replace(row, **changed)
