"""Presigned forms store one file. MinIO cannot refuse a second one, so the tracker rejects it afterwards."""

from thumbmill.tracker.image_record import SPENT, ImageRecord
from thumbmill.tracker.timeline import TimelineEvent


def is_rejected(row: ImageRecord, event: TimelineEvent, *, overwrite: bool) -> bool:
    """Return whether a form stored a file although it was no longer valid for one.

    The same bytes again are not another file: a client that lost the response sends them a second time.
    """
    if not event.is_form_upload or row.presigned_upload is None or matches(row.presigned_upload, event):
        return False
    return row.presigned_upload == SPENT or not overwrite


def fingerprint(event: TimelineEvent) -> str:
    """Return ETag and length of the uploaded file, as the column ``presigned_upload`` begins."""
    return f"{event.object_version.etag}/{event.object_version.size}" if event.object_version else ""


def matches(presigned_upload: str, event: TimelineEvent) -> bool:
    """Return whether an event is about the file that the form stored, as far as ETag and length show."""
    return f"{presigned_upload}/".startswith(f"{fingerprint(event)}/")
