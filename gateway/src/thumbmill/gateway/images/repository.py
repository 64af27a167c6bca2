"""The tracker's views in Postgres, and their rows."""

import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, LiteralString

from thumbmill.gateway.images.batched_reads import BatchedReads
from thumbmill.gateway.images.database import Database
from thumbmill.gateway.images.tenant_views import IMAGES, TIMELINE

MAX_TIMELINE_EVENTS = 1000

_COLUMNS = (
    "id, key, status, file_name, content_type, size, generation, format, width, height, sha256, variants, "
    "details, damaged, attempts, next_attempt_at, error, created_at, updated_at, expires_at, version, "
    "object_version, run_id, missing, batch, event_id"
)
# The tracker starts at -infinity, which is not a datetime.
_CAUGHT_UP_TO = "(SELECT nullif(caught_up_to, '-infinity') FROM tracker_progress) AS caught_up_to"
# One statement reads one snapshot: between two statements a row could appear and be missed.
_IMAGES_BY_ID = f"""
    SELECT {_COLUMNS}, caught_up_to
    FROM (SELECT {_CAUGHT_UP_TO}) AS progress
    LEFT JOIN {IMAGES} AS images ON images.id = ANY(%(ids)s)
"""  # noqa: S608 - constants
_TIMELINE = f"""
    SELECT id, type, object_version, occurred, recorded, recorded_by, data FROM {TIMELINE} AS events
    WHERE image_id = %(id)s ORDER BY occurred, recorded, id LIMIT %(limit)s
"""  # noqa: S608 - constants
_NEWEST_FIRST: LiteralString = "ORDER BY created_at DESC, id DESC LIMIT %(limit)s"
# By images_of_bytes, of which there are few with the same.
_SAME_BYTES = f"""
    SELECT {_COLUMNS} FROM {IMAGES} AS images
    WHERE stored_status = 'DONE' AND sha256 = %(sha256)s ORDER BY created_at, id LIMIT 1
"""  # noqa: S608 - constants
# Of all tenants. Each part reads only what it needs of an index: images_newest_by_status, images_unfinished.
_BACKLOG = f"""
    SELECT
        (SELECT count(*) FROM (
            SELECT FROM image_status WHERE stored_status = 'PENDING' LIMIT %(limit)s
        ) AS counted) AS images,
        (SELECT extract(epoch FROM clock_timestamp() - min(updated_at))::float
            FROM image_status WHERE stored_status = 'PENDING') AS oldest_seconds,
        {_CAUGHT_UP_TO}
"""  # noqa: S608 - constants
_PROGRESS = f"SELECT {_CAUGHT_UP_TO}"


@dataclass(frozen=True)
class ImageRow:
    """One image as recorded by the tracker, or as found in the bucket."""

    id: uuid.UUID
    key: str
    status: str
    file_name: str | None
    content_type: str | None
    size: int | None
    generation: int
    format: str | None
    width: int | None
    height: int | None
    sha256: str | None
    variants: list[dict[str, Any]] | None
    details: dict[str, Any] | None
    damaged: bool
    attempts: int
    next_attempt_at: datetime | None
    error: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    version: int
    object_version: str | None = field(default=None, kw_only=True)  # ETag/bytes/seconds since 1970 of the object
    run_id: str = field(default="", kw_only=True)  # the current run; empty for the first one
    missing: list[str] | None = field(default=None, kw_only=True)  # keys of variants that are being created again
    batch: str | None = field(default=None, kw_only=True)  # the label that its client gave to a batch of uploads
    event_id: str | None = field(default=None, kw_only=True)  # of the last change; null for images without any yet
    # Version of the object in the bucket, if the tracker has not recorded any object yet.
    untracked_version: str = field(default="", kw_only=True)


@dataclass(frozen=True)
class _ImageAndProgress(ImageRow):
    """A row, all None if none was found, and the time up to which the tracker had recorded every event."""

    caught_up_to: datetime | None


@dataclass(frozen=True)
class TimelineEvent:
    """One event in the timeline of an image."""

    id: uuid.UUID
    type: str
    object_version: str | None
    occurred: datetime
    recorded: datetime
    recorded_by: str
    data: dict[str, Any] | None


@dataclass(frozen=True)
class Backlog:
    """Images that wait for the thumbnailer."""

    images: int  # counted up to a limit
    oldest_seconds: float | None  # None if no image waits
    caught_up_to: datetime | None  # the tracker's progress


@dataclass(frozen=True)
class _Progress:
    caught_up_to: datetime | None


Snapshot = tuple[ImageRow | None, datetime | None]  # a row, and the tracker's progress at the same moment


class ImageRepository:
    """Reads the views. Every method may raise DependencyUnavailable or DependencyRejected."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._reads: dict[str, BatchedReads[uuid.UUID, Snapshot]] = {}  # by tenant

    async def get(self, image_id: uuid.UUID, tenant: str) -> Snapshot:
        """Return the row of a tenant's image, if there is one, and the tracker's progress at the same moment."""
        reads = self._reads.get(tenant)
        if reads is None:
            reads = self._reads[tenant] = BatchedReads(partial(self._find, tenant))
        return await reads.get(image_id)

    async def _find(self, tenant: str, ids: Collection[uuid.UUID]) -> Callable[[uuid.UUID], Snapshot]:
        values = {"ids": list(ids), "tenant": tenant}
        rows = await self._database.fetch_all(_IMAGES_BY_ID, values, _ImageAndProgress)
        found: dict[uuid.UUID, ImageRow] = {row.id: row for row in rows if row.id is not None}
        return lambda image_id: (found.get(image_id), rows[0].caught_up_to)

    async def find_same_bytes(self, sha256: str, tenant: str) -> ImageRow | None:
        """Return a tenant's oldest image that is DONE and has these bytes."""
        rows = await self._database.fetch_all(_SAME_BYTES, {"sha256": sha256, "tenant": tenant}, ImageRow)
        return rows[0] if rows else None

    async def page(
        self,
        tenant: str,
        states: Collection[str] | None,
        batch: str | None,
        after: tuple[datetime, uuid.UUID] | None,
        limit: int,
    ) -> Sequence[ImageRow]:
        """List a tenant's images in one of these states and of this batch, or all of them, newest first."""
        created_at, image_id = after or (None, None)
        groups = [] if states is None else _stored_states(states)
        values = {
            "tenant": tenant,
            "stored": [stored for stored, _ in groups],
            "shown": [shown for _, shown in groups],
            "states": list(states or ()),
            "batch": batch,
            "created_at": created_at,
            "id": image_id,
            "limit": limit,
        }
        later = after is not None
        if batch is not None:
            query = _page_of_batch(by_state=states is not None, later=later)
        else:
            query = _page(by_state=states is not None, later=later)
        return await self._database.fetch_all(query, values, ImageRow)

    async def timeline(self, image_id: uuid.UUID, tenant: str) -> Sequence[TimelineEvent]:
        """List the first events of a tenant's image in the order in which they occurred."""
        values = {"id": image_id, "tenant": tenant, "limit": MAX_TIMELINE_EVENTS}
        return await self._database.fetch_all(_TIMELINE, values, TimelineEvent)

    async def backlog(self, limit: int) -> Backlog:
        """Count the images that wait for the thumbnailer, up to ``limit``."""
        return (await self._database.fetch_all(_BACKLOG, {"limit": limit}, Backlog))[0]

    async def check(self) -> None:
        """Check that the database answers and has the views."""
        await self._database.fetch_all(_PROGRESS, {}, _Progress)


def _stored_states(states: Collection[str]) -> list[tuple[str, str | None]]:
    """Return each stored state, with the state to filter by where a stored state can be shown as two.

    EXPIRED is stored as AWAITING_UPLOAD until the tracker has recorded it.
    """
    groups: list[tuple[str, str | None]] = [(state, None) for state in states if state != "AWAITING_UPLOAD"]
    presigned_uploads = {"AWAITING_UPLOAD", "EXPIRED"} & set(states)
    if presigned_uploads:
        groups.append(("AWAITING_UPLOAD", None if len(presigned_uploads) == 2 else presigned_uploads.pop()))
    return groups


def _page(*, by_state: bool, later: bool) -> LiteralString:
    """Return the query for a page, with only the conditions that apply, so that an index serves each form.

    With states, it reads a page of each state by ``images_newest_by_status`` and returns the newest of these rows.
    A condition on several states would read all newer rows in other states.
    """
    position = _position(later=later)
    page = _NEWEST_FIRST
    if not by_state:
        return f"SELECT {_COLUMNS} FROM {IMAGES} AS images WHERE {position} {page}"  # noqa: S608 - constants
    return f"""
        SELECT {_COLUMNS} FROM unnest(%(stored)s::text[], %(shown)s::text[]) AS wanted (stored_state, shown_state)
        CROSS JOIN LATERAL (
            SELECT * FROM {IMAGES} AS images
            WHERE stored_status = stored_state AND (shown_state IS NULL OR status = shown_state) AND {position}
            {page}
        ) AS found
        {page}
    """  # noqa: S608 - constants


def _page_of_batch(*, by_state: bool, later: bool) -> LiteralString:
    """Return the query for a page of a batch, which ``images_of_batch`` serves: batches are small."""
    states: LiteralString = "AND status = ANY(%(states)s)" if by_state else ""
    return f"""
        SELECT {_COLUMNS} FROM {IMAGES} AS images WHERE batch = %(batch)s {states} AND {_position(later=later)}
        {_NEWEST_FIRST}
    """  # noqa: S608 - constants


def _position(*, later: bool) -> LiteralString:
    return "(created_at, id) < (%(created_at)s, %(id)s)" if later else "true"
