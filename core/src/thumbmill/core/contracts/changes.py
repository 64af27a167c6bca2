"""The feed of changes: what the tracker records whenever the shown state of an image changes.

A change is named by its event id ``<epoch>-<seq>``: ``seq`` has no gaps and grows in the order of commits. The
epoch is new after a database was restored from a backup, since the same numbers then name other changes.
"""

from enum import StrEnum

from thumbmill.core.contracts.status import Status

CHANNEL = "changes"  # of NOTIFY, with the last seq as payload


class ChangeType(StrEnum):
    """The type of a change: the state of the image after it."""

    AWAITING_UPLOAD = "image.awaiting_upload"
    PENDING = "image.pending"
    PROCESSING = "image.processing"
    RETRYING = "image.retrying"  # PROCESSING, and waiting for its next attempt
    DONE = "image.done"
    FAILED = "image.failed"
    EXPIRED = "image.expired"
    DELETED = "image.deleted"


def change_type(status: Status, *, is_retrying: bool) -> ChangeType:
    """Return the type of a change to this state."""
    if status is Status.PROCESSING and is_retrying:
        return ChangeType.RETRYING
    return ChangeType[status.name]
