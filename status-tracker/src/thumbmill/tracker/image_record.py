"""What is known of an image: its row, and what a look into the bucket shows."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from thumbmill.core.contracts.events import Variant
from thumbmill.core.contracts.failure import Failure
from thumbmill.core.contracts.identity import ObjectVersion
from thumbmill.core.contracts.image_details import ImageDetails
from thumbmill.core.contracts.status import Status

MIN_DATETIME = datetime.min.replace(tzinfo=UTC)


SPENT = "spent"  # of a form that may bring no file any more


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
    expires_at: datetime | None = None  # the ticket's
    variants_removed: bool = False  # means something when DELETED
    version: int = 0  # of the row in the database
    presigned_upload: str | None = (
        None  # ETag/bytes/SHA-256 of what a form has brought; SPENT once that was deleted
    )
    rejected_version: ObjectVersion | None = None  # an object that is being removed, and counts as none

    # What the thumbnailer said of this source.
    run_id: str = ""
    attempts: int = 0
    next_attempt_at: datetime | None = None
    error: Failure | None = None
    format: str | None = None
    width: int | None = None  # pixels
    height: int | None = None  # pixels
    sha256: str | None = None
    variants: tuple[Variant, ...] = ()
    missing: tuple[str, ...] = ()  # keys of variants that are gone and being made again
    details: ImageDetails | None = None
    damaged: bool = False

    @property
    def rank(self) -> tuple[bool, str, bool, int, datetime]:
        """How far the thumbnailer got: of two facts about one source the one of higher rank is believed.

        A later run takes a FAILED image up again. A DONE one stays so, with its variants, until that run is done.
        """
        done, failed = self.status is Status.DONE, self.status is Status.FAILED
        return done, self.run_id, failed, self.attempts, self.next_attempt_at or MIN_DATETIME


@dataclass(frozen=True, slots=True)
class BucketState:
    """What a look into the bucket showed under the key; no source: nothing is there."""

    object_version: ObjectVersion | None
    content_type: str | None = None
    file_name: str | None = None
