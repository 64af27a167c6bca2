"""How an event changes an image's row. Pure: no database, no bucket, no clock.

    upload.requested          ObjectCreated            image.processing          image.done
    ---------------> AWAITING_UPLOAD -----> PENDING -----------> PROCESSING -----------> DONE
                       | upload.expired       ^ ^                     |  image.failed
                       +-> EXPIRED            | |                     +----------------> FAILED
              another object under the key:   | |
              a new generation of any state --+ |
                                                +-- an object again --- DELETED <-- ObjectRemoved, from any state

Events arrive twice, late and in any order, and in the end the row must agree with the bucket. So an event that
would change the row's object version, or set or leave DELETED, only causes a HEAD request, whose response decides.
Events about the row's own object version are ordered by ``ImageRecord.rank``. The first event of an image needs no
HEAD, since that is the common path, unless a removal came before it.
"""

from collections.abc import Callable, Iterable
from typing import get_args

from thumbmill.core.contracts.events import Done, ProgressEvent, Removed, UploadExpired, UploadRequested
from thumbmill.core.contracts.interventions import DriftRepaired, RequestEvent, RetryRequested, TimelineOnlyEvent
from thumbmill.core.contracts.status import Status
from thumbmill.core.contracts.storage_events import StorageEvent
from thumbmill.tracker import transitions
from thumbmill.tracker.image_record import BucketState, ImageRecord
from thumbmill.tracker.presigned_uploads import is_rejected
from thumbmill.tracker.timeline import TimelineEvent

_PROGRESS = get_args(ProgressEvent)
# These depend on no object.
_WITHOUT_OBJECT = (UploadRequested, UploadExpired, *get_args(RequestEvent), *get_args(TimelineOnlyEvent))


def fold(
    row: ImageRecord | None,
    events: Iterable[TimelineEvent],
    head_object: Callable[[], BucketState],
    *,
    removal_known: bool = False,
    purgeable: bool = False,
    overwrite: bool = False,
    on_unchanged: Callable[[TimelineEvent], None] = lambda _: None,
) -> ImageRecord | None:
    """Apply an image's events one after another, with a HEAD request where ``needs_bucket_check`` says so.

    ``removal_known``: the timeline has a removal of this image already. ``purgeable``: an event is so old that its
    row may have been purged. ``overwrite``: a presigned form may upload another file. ``on_unchanged`` gets the
    events that changed nothing: an event that comes again is one of them.
    """
    for event in events:
        if row is None and purgeable and head_object().object_version is None:
            on_unchanged(event)
            continue  # the image no longer exists
        before = row
        check = needs_bucket_check(row, event, removal_known=removal_known or purgeable, overwrite=overwrite)
        row = apply(row, event, head_object() if check else None, overwrite=overwrite)
        if row == before:
            on_unchanged(event)
        removal_known = removal_known or event.is_removal
    return row


def needs_bucket_check(
    row: ImageRecord | None, event: TimelineEvent, *, removal_known: bool, overwrite: bool = False
) -> bool:
    """Return whether the effect of an event depends on what is in the bucket."""
    if isinstance(event.payload, _WITHOUT_OBJECT):
        return False
    if row is None or row.object_version is None:
        return removal_known and event.object_version is not None
    if event.is_removal:
        return row.status is not Status.DELETED
    return (
        row.status is Status.DELETED
        or event.object_version != row.object_version
        or is_rejected(row, event, overwrite=overwrite)
    )


def apply(
    row: ImageRecord | None, event: TimelineEvent, bucket: BucketState | None = None, *, overwrite: bool = False
) -> ImageRecord | None:
    """Return the row after an event; the same row if nothing changes, None if there is no such image."""
    if isinstance(event.payload, _WITHOUT_OBJECT):
        return _apply_request(row, event)
    if row is None or row.object_version is None:
        if event.object_version is None:
            return row  # the removal of an object that the row never had
        row = transitions.start_first_generation(row, event)
    if bucket is not None:
        row = transitions.reconcile_with_bucket(row, event, bucket, overwrite=overwrite)
    if row.status is Status.DELETED:
        return transitions.record_variants_removed(row) if isinstance(event.payload, Removed) else row
    if event.object_version == row.object_version:
        return _apply_to_own_version(row, event, overwrite=overwrite)
    return row


def needs_processing(row: ImageRecord | None, event: TimelineEvent) -> bool:
    """Return whether the thumbnailer still has to handle a bucket's event, as far as the row shows."""
    if row is None or not isinstance(event.payload, StorageEvent):
        return False
    if row.status is Status.DELETED:
        return not row.variants_removed  # also for an upload: its removal may have come first
    return row.status is Status.PENDING and event.object_version == row.object_version


def _apply_request(row: ImageRecord | None, event: TimelineEvent) -> ImageRecord | None:
    """Apply a request of a client, an operator or reconciliation; other events are in the timeline only."""
    match event.payload:
        case UploadRequested():
            return transitions.apply_upload_request(row, event, event.payload)
        case UploadExpired():
            return transitions.apply_upload_expiry(row, event.payload)
        case RetryRequested():
            return transitions.apply_retry_request(row, event.payload)
        case DriftRepaired():
            return transitions.apply_missing_variants(row, event.payload)
        case _:
            return row


def _apply_to_own_version(row: ImageRecord, event: TimelineEvent, *, overwrite: bool) -> ImageRecord:
    """Apply an event about the object version that the row has."""
    row = transitions.fill_missing(row, event)
    if isinstance(event.payload, Done):
        row = transitions.check_uploaded_bytes(row, event.payload, overwrite=overwrite)
        if row.status is Status.DELETED:
            return row
    if not isinstance(event.payload, _PROGRESS):
        return row
    after = transitions.apply_progress(row, event.payload)
    return after if after.rank > row.rank else row
