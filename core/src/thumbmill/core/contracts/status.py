"""The states of an image, as the API, the database and the services name them."""

from enum import StrEnum


class Status(StrEnum):
    """A state of an image."""

    AWAITING_UPLOAD = "AWAITING_UPLOAD"  # a presigned form was issued, and nothing was uploaded yet
    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    DONE = "DONE"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"  # the form expired unused; shown by the view image_status from that moment, and stored soon
    DELETED = "DELETED"
