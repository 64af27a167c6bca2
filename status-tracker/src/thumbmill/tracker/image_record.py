"""What is known of an image: its row, and what the bucket holds under its key."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from thumbmill.core.contracts.events import Variant
from thumbmill.core.contracts.failure import Failure
from thumbmill.core.contracts.identity import ObjectVersion
from thumbmill.core.contracts.image_details import ImageDetails
from thumbmill.core.contracts.status import Status

MIN_DATETIME = datetime.min.replace(tzinfo=UTC)
SPENT = "spent"  # in presigned_upload: the form stores no other file


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """What is known of an image; another object under the same key is a new generation of it."""

    id: UUID
    key: str
    created_at: datetime
    status: Status = Status.AWAITING_UPLOAD
    object_version: ObjectVersion | None = None  # None until there was an object
    generation: int = 0
    file_name: str | None = None
    content_type: str | None = None
    expires_at: datetime | None = None  # of the presigned form
    variants_removed: bool = False  # has a meaning when DELETED
    version: int = 0  # of the row in the database
    presigned_upload: str | None = None  # ETag/bytes/SHA-256 of what the form stored; SPENT once that was deleted
    rejected_version: ObjectVersion | None = None  # an object that is being deleted, and counts as missing
    batch: str | None = None  # the label that its client gave to a batch of uploads

    # What the thumbnailer published about this object version.
    run_id: str = ""
    attempts: int = 0
    next_attempt_at: datetime | None = None
    error: Failure | None = None
    format: str | None = None
    width: int | None = None  # pixels
    height: int | None = None  # pixels
    sha256: str | None = None
    variants: tuple[Variant, ...] = ()
    missing: tuple[str, ...] = ()  # keys of variants that are missing and being generated again
    details: ImageDetails | None = None
    damaged: bool = False

    @property
    def rank(self) -> tuple[bool, str, bool, int, datetime]:
        """How far the thumbnailer got: of two events about one object version the one of higher rank counts.

        A later run resumes a FAILED image. A DONE image stays so, with its variants, until that run is done.
        """
        done, failed = self.status is Status.DONE, self.status is Status.FAILED
        return done, self.run_id, failed, self.attempts, self.next_attempt_at or MIN_DATETIME


@dataclass(frozen=True, slots=True)
class BucketState:
    """What a HEAD shows under the key; without an object version there is no object."""

    object_version: ObjectVersion | None
    content_type: str | None = None
    file_name: str | None = None
    batch: str | None = None
