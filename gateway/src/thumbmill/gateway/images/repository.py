"""What the gateway asks of Postgres: the tracker's views, and the rows as they come back."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

from thumbmill.gateway.images.database import Database

_COLUMNS = (
    "id, key, status, file_name, content_type, size, generation, format, width, height, sha256, variants, "
    "details, damaged, attempts, next_attempt_at, error, created_at, updated_at, expires_at, version, "
    "object_version, run_id, missing"
)
# The tracker begins at -infinity, which is no datetime.
_CAUGHT_UP_TO = "(SELECT nullif(caught_up_to, '-infinity') FROM tracker_progress) AS caught_up_to"
# One statement sees one moment: read apart, a row could appear between the two, and look as if it never came.
_IMAGE = f"""
    SELECT {_COLUMNS}, caught_up_to
    FROM (SELECT {_CAUGHT_UP_TO}) AS progress
    LEFT JOIN image_status ON image_status.id = %(id)s
"""  # noqa: S608 - constants
_TIMELINE = """
    SELECT id, type, object_version, occurred, recorded, recorded_by, data FROM image_timeline
    WHERE image_id = %(id)s ORDER BY occurred, recorded, id LIMIT %(limit)s
"""
# Each part reads no more of an index than it needs: images_newest_by_status, images_unfinished.
_BACKLOG = f"""
    SELECT
        (SELECT count(*) FROM (
            SELECT FROM image_status WHERE stored_status = 'PENDING' LIMIT %(most)s
        ) AS counted) AS images,
        (SELECT extract(epoch FROM clock_timestamp() - min(updated_at))::float
            FROM image_status WHERE stored_status = 'PENDING') AS oldest_seconds,
        {_CAUGHT_UP_TO}
"""  # noqa: S608 - constants
_PROGRESS = f"SELECT {_CAUGHT_UP_TO}"


@dataclass(frozen=True)
class ImageRow:
    """One image as the tracker has it, or the bucket alone."""

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
    run_id: str = field(default="", kw_only=True)  # which try it is at; empty: the first
    missing: list[str] | None = field(default=None, kw_only=True)  # keys of variants that are being made again
    untracked_version: str = field(
        default="", kw_only=True
    )  # which object it is, where the tracker has not heard of any yet


@dataclass(frozen=True)
class Found(ImageRow):
    """A row, all None where there is none, and up to when the tracker had seen every fact at that moment."""

    caught_up_to: datetime | None


@dataclass(frozen=True)
class TimelineEvent:
    """One line of an image's timeline."""

    id: uuid.UUID
    type: str
    object_version: str | None
    occurred: datetime
    recorded: datetime
    recorded_by: str
    data: dict[str, Any] | None


@dataclass(frozen=True)
class Backlog:
    """Images that the thumbnailer has not begun with."""

    images: int  # no more of them are counted than were asked for
    oldest_seconds: float | None  # how long it has waited; None where none waits
    caught_up_to: datetime | None  # the tracker's progress


@dataclass(frozen=True)
class _Progress:
    caught_up_to: datetime | None


class ImageRepository:
    """The views. Every method raises DependencyAway, Refused."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def image(self, image_id: uuid.UUID) -> tuple[ImageRow | None, datetime | None]:
        """Give an image's row, if there is one, and the tracker's progress, both at one moment."""
        found = (await self._database.fetch_all(_IMAGE, {"id": image_id}, Found))[0]
        return (None if found.id is None else found), found.caught_up_to

    async def page(
        self, states: Collection[str] | None, after: tuple[datetime, uuid.UUID] | None, limit: int
    ) -> Sequence[ImageRow]:
        """List images, newest first: those in one of these states, or all."""
        created_at, image_id = after or (None, None)
        groups = [] if states is None else _stored_states(states)
        values = {
            "stored": [stored for stored, _ in groups],
            "shown": [shown for _, shown in groups],
            "created_at": created_at,
            "id": image_id,
            "limit": limit,
        }
        return await self._database.fetch_all(
            _page(by_state=states is not None, later=after is not None), values, ImageRow
        )

    async def timeline(self, image_id: uuid.UUID, limit: int) -> Sequence[TimelineEvent]:
        """List what became known of an image, in the order in which it happened."""
        return await self._database.fetch_all(_TIMELINE, {"id": image_id, "limit": limit}, TimelineEvent)

    async def waiting(self, limit: int) -> Backlog:
        """Count the images that wait for the thumbnailer, but no more than ``most``."""
        return (await self._database.fetch_all(_BACKLOG, {"most": limit}, Backlog))[0]

    async def check(self) -> None:
        """Make sure that the database answers and has the views."""
        await self._database.fetch_all(_PROGRESS, {}, _Progress)


def _stored_states(states: Collection[str]) -> list[tuple[str, str | None]]:
    """Return the states as rows have them, each with the one that has to be shown, where a row's may be two.

    EXPIRED is stored as AWAITING_UPLOAD. Where both are wanted nothing has to be looked at but what is stored.
    """
    presigned_uploads = {"AWAITING_UPLOAD", "EXPIRED"} & set(states)
    groups: list[tuple[str, str | None]] = [(state, None) for state in states if state not in presigned_uploads]
    if presigned_uploads:
        groups.append(("AWAITING_UPLOAD", None if len(presigned_uploads) == 2 else presigned_uploads.pop()))
    return groups


def _page(*, by_state: bool, later: bool) -> LiteralString:
    """Write the list's query without conditions that do not apply, so that each form of it has an index.

    With states it takes a page of each, by ``images_newest_by_status``, and the newest of these: a condition on
    many states would have it read all rows of the others that are newer.
    """
    place: LiteralString = "(created_at, id) < (%(created_at)s, %(id)s)" if later else "true"
    page: LiteralString = "ORDER BY created_at DESC, id DESC LIMIT %(limit)s"
    if not by_state:
        return f"SELECT {_COLUMNS} FROM image_status WHERE {place} {page}"  # noqa: S608 - constants
    return f"""
        SELECT {_COLUMNS} FROM unnest(%(stored)s::text[], %(shown)s::text[]) AS wanted (stored_state, shown_state)
        CROSS JOIN LATERAL (
            SELECT * FROM image_status
            WHERE stored_status = stored_state AND (shown_state IS NULL OR status = shown_state) AND {place}
            {page}
        ) AS found
        {page}
    """  # noqa: S608 - constants
