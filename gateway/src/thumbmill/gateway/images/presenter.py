"""Pure functions that turn the tracker's rows into responses of the API."""

import uuid
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.contracts.events import Variant
from thumbmill.core.contracts.failure import Failure
from thumbmill.core.contracts.identity import uuid7_timestamp
from thumbmill.core.contracts.image_details import ImageDetails
from thumbmill.core.contracts.status import Status
from thumbmill.core.contracts.variants import find_variant_error
from thumbmill.core.object_store.store import ObjectMetadata
from thumbmill.gateway.http.media_types import OTHER, content_type_of_format, safe_content_type
from thumbmill.gateway.images.models import ImageOut, TimelineEventOut, VariantOut
from thumbmill.gateway.images.repository import ImageRow, TimelineEvent
from thumbmill.gateway.images.states import TERMINAL, WITHOUT_OBJECT
from thumbmill.gateway.urls import Links

ORIGINAL = "original"
_NOT_AN_IMAGE = frozenset({ErrorCode.UNSUPPORTED_FORMAT, ErrorCode.EMPTY_FILE})


def to_image_out(row: ImageRow, links: Links) -> ImageOut:
    """Return the response for a row."""
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
        variants=_variants_out(row, links),
        batch=row.batch,
        generation=row.generation,
        attempts=row.attempts,
        missing=[variant.type for variant in variants_of(row) if is_missing(row, variant)],
        next_attempt_at=row.next_attempt_at,
        error=Failure.model_validate(row.error) if row.error else None,
        created_at=row.created_at,
        updated_at=row.updated_at,
        expires_at=row.expires_at,
        version=row.version,
        event_id=row.event_id,
    )


def select_states(wanted: Collection[Status] | None, *, deleted: bool) -> frozenset[Status] | None:
    """Return the states to list; None means all."""
    states = frozenset(wanted or Status) - (frozenset() if deleted else {Status.DELETED})
    return None if states == frozenset(Status) else states


def to_event_out(event: TimelineEvent) -> TimelineEventOut:
    """Return the response for an event of the timeline."""
    return TimelineEventOut.model_validate(event, from_attributes=True)


def variants_of(row: ImageRow) -> list[Variant]:
    """Return the variants of an image that is not deleted, without any that are invalid for it."""
    if row.status == Status.DELETED:
        return []
    variants = (Variant.model_validate(variant) for variant in row.variants or [])
    return [one for one in variants if not find_variant_error(one.key, one.content_type, row.id)]


def available_variants(row: ImageRow) -> list[Variant]:
    """Return the variants of an image that can be downloaded, as far as the tracker knows."""
    return [variant for variant in variants_of(row) if not is_missing(row, variant)]


def is_missing(row: ImageRow, variant: Variant) -> bool:
    """Return whether the tracker has recorded that a variant is lost."""
    return variant.key in (row.missing or ())


def content_type_of(row: ImageRow) -> str:
    """Return the original's content type by its decoded format, or else as declared.

    It is the type of a supported image, or application/octet-stream.
    """
    if row.format:
        return content_type_of_format(row.format, row.content_type)
    if row.error and row.error.get("code") in _NOT_AN_IMAGE:
        return OTHER
    return safe_content_type(row.content_type)


def content_id(variant: Variant) -> str:
    """Return the part of a variant's key for the original's bytes and the presets; equal ids: equal bytes."""
    return variant.key.split("/")[1]


def etag_of(row: ImageRow, links: Links) -> str:
    """Return the ETag of an image's representation, which can change while the version of its row does not.

    A row becomes EXPIRED without an update, and an object can be in the bucket before the tracker records it. A new
    row for a purged image starts again at version 0. Signed URLs change with their window.
    """
    period = f"-{links.period}" if links.period else ""
    untracked = f"-{row.untracked_version}" if row.untracked_version else ""
    return f'W/"{int(row.created_at.timestamp() * 1e6):x}-{row.version}-{row.status}{untracked}{period}"'


def image_headers(row: ImageRow, links: Links) -> dict[str, str]:
    """Return the headers of an image's response; ``Retry-After`` while its state is not final."""
    headers = {"ETag": etag_of(row, links), "Cache-Control": "private, no-cache"}
    return headers if row.status in TERMINAL else {**headers, "Retry-After": "1"}


def untracked_row(image_id: uuid.UUID, key: str, head: ObjectMetadata) -> ImageRow:
    """Return a row for an object in the bucket that the tracker has not recorded yet."""
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
    """Return a ticket's row with its object in the bucket, which the tracker has not recorded yet.

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


def _variants_out(row: ImageRow, links: Links) -> list[VariantOut]:
    if row.status in WITHOUT_OBJECT:
        return []
    original = VariantOut(
        type=ORIGINAL,
        content_type=content_type_of(row),
        bytes=row.size,
        width=row.width,
        height=row.height,
        url=links.variant(row.id, ORIGINAL),
        signed_url=None,
    )
    return [original, *(_variant_out(row, variant, links) for variant in available_variants(row))]


def _variant_out(row: ImageRow, variant: Variant, links: Links) -> VariantOut:
    return VariantOut(
        type=variant.type,
        content_type=variant.content_type,
        bytes=variant.bytes,
        width=variant.width,
        height=variant.height,
        url=links.variant(row.id, variant.type, content_id(variant)),
        signed_url=links.signed(variant.key),
    )
