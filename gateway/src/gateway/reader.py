"""Reading Postgres: the tracker's views, through a role that may do nothing else."""

import asyncio
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString, TypeVar

from psycopg import (
    AsyncConnection,
    DataError,
    Error,
    IntegrityError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    errors,
)
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from pipeline.outcomes import DependencyAway, Refused

CONNECTIONS = 8
WAIT_SECONDS = 3  # for a connection
ANSWER_SECONDS = 5  # for everything
_MISSING = (errors.UndefinedTable, errors.UndefinedColumn)
_REFUSALS = (
    errors.InvalidAuthorizationSpecification,
    errors.InvalidPassword,
    errors.InvalidCatalogName,
    errors.InsufficientPrivilege,
)
_BUGS = (DataError, IntegrityError, NotSupportedError, ProgrammingError)  # of ours, but for those above

_COLUMNS = (
    "id, key, status, file_name, content_type, size, generation, format, width, height, sha256, variants, "
    "details, damaged, attempts, next_attempt_at, error, created_at, updated_at, expires_at, version"
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
    SELECT id, type, source, occurred, recorded, recorded_by, data FROM image_timeline
    WHERE image_id = %(id)s ORDER BY occurred, recorded, id LIMIT %(limit)s
"""
# Each part reads no more of an index than it needs: images_newest_by_status, images_unfinished.
_WAITING = f"""
    SELECT
        (SELECT count(*) FROM (
            SELECT FROM image_status WHERE stored_status = 'PENDING' LIMIT %(most)s
        ) AS counted) AS images,
        (SELECT extract(epoch FROM clock_timestamp() - min(updated_at))::float
            FROM image_status WHERE stored_status = 'PENDING') AS oldest_seconds,
        {_CAUGHT_UP_TO}
"""  # noqa: S608 - constants
_PROGRESS = f"SELECT {_CAUGHT_UP_TO}"

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
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
    seen: str = field(default="", kw_only=True)  # which object it is, where the tracker has not heard of any yet


@dataclass(frozen=True)
class Found(Row):
    """A row, all None where there is none, and up to when the tracker had seen every fact at that moment."""

    caught_up_to: datetime | None


@dataclass(frozen=True)
class Fact:
    """One line of an image's timeline."""

    id: uuid.UUID
    type: str
    source: str | None
    occurred: datetime
    recorded: datetime
    recorded_by: str
    data: dict[str, Any] | None


@dataclass(frozen=True)
class Waiting:
    """Images that the thumbnailer has not begun with."""

    images: int  # no more of them are counted than were asked for
    oldest_seconds: float | None  # how long it has waited; None where none waits
    caught_up_to: datetime | None  # the tracker's progress


@dataclass(frozen=True)
class _Progress:
    caught_up_to: datetime | None


class Reader:
    """The views, asked through a pool. Every method raises DependencyAway, Refused."""

    def __init__(self, url: str) -> None:
        self._pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
            url,
            open=False,
            min_size=1,
            max_size=CONNECTIONS,
            timeout=WAIT_SECONDS,
            reconnect_timeout=0,  # tries as long as it takes
            name="gateway",
            kwargs={
                "autocommit": True,
                "connect_timeout": WAIT_SECONDS,
                "application_name": "thumbmill-gateway",
                "prepare_threshold": 3,
            },
        )

    async def open(self) -> None:
        """Begin to connect; whether that works, the first question shows."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await self._pool.close(timeout=1)

    async def image(self, image_id: uuid.UUID) -> tuple[Row | None, datetime | None]:
        """Give an image's row, if there is one, and the tracker's progress, both at one moment."""
        found = (await self._ask(_IMAGE, {"id": image_id}, Found))[0]
        return (None if found.id is None else found), found.caught_up_to

    async def page(self, status: str | None, after: tuple[datetime, uuid.UUID] | None, limit: int) -> Sequence[Row]:
        """List images, newest first."""
        created_at, image_id = after or (None, None)
        stored = "AWAITING_UPLOAD" if status == "EXPIRED" else status
        values = {"status": status, "stored": stored, "created_at": created_at, "id": image_id, "limit": limit}
        return await self._ask(_page(by_status=status is not None, later=after is not None), values, Row)

    async def timeline(self, image_id: uuid.UUID, limit: int) -> Sequence[Fact]:
        """List what became known of an image, in the order in which it happened."""
        return await self._ask(_TIMELINE, {"id": image_id, "limit": limit}, Fact)

    async def waiting(self, most: int) -> Waiting:
        """Count the images that wait for the thumbnailer, but no more than ``most``."""
        return (await self._ask(_WAITING, {"most": most}, Waiting))[0]

    async def check(self) -> None:
        """Make sure that the database answers and has the views."""
        await self._ask(_PROGRESS, {}, _Progress)

    async def _ask(self, query: LiteralString, values: dict[str, Any], shape: type[T]) -> list[T]:
        with _translated():
            async with asyncio.timeout(ANSWER_SECONDS):
                try:
                    return await self._fetch(query, values, shape)
                except OperationalError as fault:
                    if isinstance(fault, (PoolTimeout, *_REFUSALS)):
                        raise
                    await self._pool.check()  # the server went and came back: kept connections are dead
                    return await self._fetch(query, values, shape)

    async def _fetch(self, query: LiteralString, values: dict[str, Any], shape: type[T]) -> list[T]:
        async with self._pool.connection() as connection, connection.cursor(row_factory=class_row(shape)) as cursor:
            return await (await cursor.execute(query, values)).fetchall()


def _page(*, by_status: bool, later: bool) -> LiteralString:
    """Write the list's query without conditions that do not apply, so that each form of it has an index."""
    conditions: list[LiteralString] = ["true"]
    if by_status:
        conditions.append("stored_status = %(stored)s AND status = %(status)s")
    if later:
        conditions.append("(created_at, id) < (%(created_at)s, %(id)s)")
    where = " AND ".join(conditions)
    return f"""
        SELECT {_COLUMNS} FROM image_status
        WHERE {where}
        ORDER BY created_at DESC, id DESC LIMIT %(limit)s
    """  # noqa: S608 - constants


async def check_login(url: str) -> None:
    """Connect once, outside the pool, which would not say why it can't. Raises DependencyAway, Refused."""
    with _translated():
        async with (
            asyncio.timeout(ANSWER_SECONDS),
            await AsyncConnection.connect(url, connect_timeout=WAIT_SECONDS) as connection,
        ):
            await connection.execute(_PROGRESS)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn psycopg's faults into DependencyAway and Refused; a bug of ours stays what it is."""
    try:
        yield
    except (Error, TimeoutError) as fault:
        if isinstance(fault, _BUGS) and not isinstance(fault, (*_REFUSALS, *_MISSING)):
            raise
        raise _our_fault(fault) from fault


def _our_fault(fault: Exception) -> DependencyAway:
    """Tell a server that is away from one that refuses us."""
    text = " ".join(str(fault).split()) or type(fault).__name__
    if isinstance(fault, errors.InsufficientPrivilege):
        return Refused(
            "postgres", f"{text}: DATABASE_URL must log in as the role 'gateway', which may read the views"
        )
    if isinstance(fault, _MISSING):
        return DependencyAway("postgres", f"{text}: run `status-tracker migrate`")
    if isinstance(fault, _REFUSALS) or "authentication failed" in text or "does not exist" in text:
        return Refused("postgres", f"{text}: check DATABASE_URL")
    return DependencyAway("postgres", text)
