"""Which changes of a row are shown to readers of the feed. Pure."""

from dataclasses import fields
from operator import attrgetter
from typing import Any

from thumbmill.core.contracts.changes import ChangeType, change_type
from thumbmill.tracker.image_record import ImageRecord

# What the tracker needs for itself: the API shows none of it.
_NOT_SHOWN = frozenset({"version", "run_id", "variants_removed", "presigned_upload", "rejected_version"})
_shown = attrgetter(*(field.name for field in fields(ImageRecord) if field.name not in _NOT_SHOWN))
# What a change no longer contains once its image is deleted: the file's name and what was found in the file.
CLEARED_DATA: dict[str, Any] = {
    "file_name": None,
    "content_type": None,
    "format": None,
    "width": None,
    "height": None,
    "sha256": None,
    "variants": [],
    "missing": [],
    "details": None,
    "error": None,
}


def find_change(before: ImageRecord | None, after: ImageRecord) -> ChangeType | None:
    """Return the type of the change from one row to the next, None if both are shown alike."""
    if before is not None and _shown(before) == _shown(after):
        return None
    return change_type(after.status, is_retrying=after.next_attempt_at is not None)
