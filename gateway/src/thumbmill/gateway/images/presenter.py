"""An image as the API shows it, made from the tracker's row."""

import uuid
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime

from thumbmill.core.contracts.error_codes import ErrorCode, Failure
from thumbmill.core.contracts.events import Variant
from thumbmill.core.contracts.identity import uuid7_timestamp
from thumbmill.core.contracts.image_details import ImageDetails
from thumbmill.core.contracts.status import Status
from thumbmill.core.contracts.variants import find_variant_error
from thumbmill.core.object_store.store import ObjectMetadata
from thumbmill.gateway.http.media_types import OTHER, content_type_of_format, safe_content_type
from thumbmill.gateway.images.models import ImageOut, TimelineEventOut, VariantOut
from thumbmill.gateway.images.repository import ImageRow, TimelineEvent
from thumbmill.gateway.urls import Links

TERMINAL = frozenset({Status.DONE, Status.FAILED, Status.EXPIRED, Status.DELETED})  # until somebody acts again
WITHOUT_UPLOAD = frozenset({Status.AWAITING_UPLOAD, Status.EXPIRED})  # as far as the tracker has heard
WITHOUT_OBJECT = WITHOUT_UPLOAD | {Status.DELETED}
ORIGINAL = "original"
_NO_PICTURE = frozenset({ErrorCode.UNSUPPORTED_FORMAT, ErrorCode.EMPTY_FILE})


def to_image_out(row: ImageRow, links: Links) -> ImageOut:
    """Make the API's picture of a row."""
    return ImageOut(
        id=row.id,
        status=Status(row.status),
        file_name=row.file_name,
        key=row.key or None,
        content_type=row.content_type,
        bytes=row.size,
        format=row.format,
        width=row.width,
        height=row.height,
        sha256=row.sha256,
        details=ImageDetails.model_validate(row.details) if row.details else None,
        damaged=row.damaged,
        variants=_variants(row, links),
        generation=row.generation,
        attempts=row.attempts,
        missing=[variant.type for variant in variants_of(row) if is_missing(row, variant)],
        next_attempt_at=row.next_attempt_at,
        error=Failure.model_validate(row.error) if row.error else None,
        created_at=row.created_at,
        updated_at=row.updated_at,
        expires_at=row.expires_at,
    )


def select_states(wanted: Collection[Status] | None, *, deleted: bool) -> frozenset[Status] | None:
    """Return the states of which a list is asked for; None is all of them."""
    states = frozenset(wanted or Status) - (frozenset() if deleted else {Status.DELETED})
    return None if states == frozenset(Status) else states


def to_event_out(fact: TimelineEvent) -> TimelineEventOut:
    """Make the API's picture of a line of the timeline."""
    return TimelineEventOut.model_validate(fact, from_attributes=True)


def variants_of(row: ImageRow) -> list[Variant]:
    """What was made of the image, while it is not deleted; nothing that is another image's, or no picture."""
    if row.status == Status.DELETED:
        return []
    variants = (Variant.model_validate(variant) for variant in row.variants or [])
    return [one for one in variants if not find_variant_error(one.key, one.content_type, row.id)]


def is_missing(row: ImageRow, variant: Variant) -> bool:
    """Tell whether a variant was lost, as far as the tracker has heard."""
    return variant.key in (row.missing or ())


def content_type_of(row: ImageRow) -> str:
    """Return the original's content type, as it is both told and sent: what was decoded, or else was declared.

    It is one of a supported picture, or that of bytes of any kind.
    """
    if row.format:
        return content_type_of_format(row.format, row.content_type)
    if row.error and row.error.get("code") in _NO_PICTURE:
        return OTHER
    return safe_content_type(row.content_type)


def content_id(variant: Variant) -> str:
    """Name what the variant was made from and how: the middle of its key. Equal names, equal bytes."""
    return variant.key.split("/")[1]


def etag_of(row: ImageRow) -> str:
    """Give the ETag of an image's representation, which can change while the row's version does not.

    EXPIRED comes with time, and an object that only the bucket shows with a look at it. A row that was purged may
    be followed by another, whose versions begin anew.
    """
    seen = f"-{row.untracked_version}" if row.untracked_version else ""
    return f'W/"{int(row.created_at.timestamp() * 1e6):x}-{row.version}-{row.status}{seen}"'


def untracked_row(image_id: uuid.UUID, key: str, head: ObjectMetadata) -> ImageRow:
    """Describe an object that is in the bucket, and that the tracker has not heard of yet."""
    modified = _modified(head)
    return ImageRow(
        id=image_id,
        key=key,
        status=Status.PENDING,
        file_name=head.file_name,
        content_type=head.content_type,
        size=head.object_version.size,
        generation=1,
        format=None,
        width=None,
        height=None,
        sha256=None,
        variants=None,
        details=None,
        damaged=False,
        attempts=0,
        next_attempt_at=None,
        error=None,
        created_at=uuid7_timestamp(image_id) or modified,
        updated_at=modified,
        expires_at=None,
        version=0,
        untracked_version=str(head.object_version),
    )


def pending_row(row: ImageRow, head: ObjectMetadata) -> ImageRow:
    """Describe a ticket's object that is in the bucket, and that the tracker has not heard of yet.

    It is the first generation, as it will be for the tracker.
    """
    return replace(
        row,
        status=Status.PENDING,
        generation=1,
        size=head.object_version.size,
        content_type=row.content_type or head.content_type,
        file_name=row.file_name or head.file_name,
        updated_at=max(row.updated_at, _modified(head)),
        untracked_version=str(head.object_version),
    )


def _modified(head: ObjectMetadata) -> datetime:
    return datetime.fromtimestamp(head.object_version.modified, UTC)


def _variants(row: ImageRow, links: Links) -> list[VariantOut]:
    if row.status in WITHOUT_OBJECT:
        return []
    original = VariantOut(
        type=ORIGINAL,
        content_type=content_type_of(row),
        bytes=row.size,
        width=row.width,
        height=row.height,
        url=links.variant(row.id, ORIGINAL),
    )
    there = (variant for variant in variants_of(row) if not is_missing(row, variant))
    return [original, *(_variant(row, variant, links) for variant in there)]


def _variant(row: ImageRow, variant: Variant, links: Links) -> VariantOut:
    return VariantOut(
        type=variant.type,
        content_type=variant.content_type,
        bytes=variant.bytes,
        width=variant.width,
        height=variant.height,
        url=links.variant(row.id, variant.type, content_id(variant)),
    )
