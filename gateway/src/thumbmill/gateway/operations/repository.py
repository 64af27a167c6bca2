"""The tracker's views for operators, and their rows."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from thumbmill.gateway.images.database import Database
from thumbmill.gateway.operations import queries

MAX_ORDERS = 50  # in a list
MAX_IMAGES = 1000  # of one order
RECENT_CHANGES = 5000  # from which the throughput is computed, at most
WINDOW = timedelta(minutes=5)


@dataclass(frozen=True)
class StatusCount:
    """The number of images in a state."""

    status: str
    images: int


@dataclass(frozen=True)
class FailureRow:
    """The number of images that failed with a code, by age."""

    code: str
    last_hour: int
    last_day: int
    last_week: int


@dataclass(frozen=True)
class CodeCount:
    """The number of FAILED images with a code."""

    code: str
    images: int


@dataclass(frozen=True)
class Now:
    """The database's clock."""

    now: datetime


@dataclass(frozen=True)
class WorkerRow:
    """A thumbnailer, by its heartbeats."""

    id: uuid.UUID
    host: str
    process_id: int
    version: str
    started_at: datetime
    last_seen: datetime
    decoders: int
    slow_decoders: int
    in_flight: int
    presets: str
    missing: bool


@dataclass(frozen=True)
class QueueRow:
    """The length of a queue."""

    name: str
    ready: int
    measured_at: datetime


@dataclass(frozen=True)
class DeadLetterRow:
    """A dead letter."""

    queue: str
    image_id: uuid.UUID | None
    code: str
    reason: str
    dead_lettered_at: datetime | None
    superseded: bool


@dataclass(frozen=True)
class ThroughputRow:
    """What became DONE among the recent changes."""

    images: int
    p50: float | None
    p95: float | None
    seconds: float | None  # since the first of the recent changes
    changes: int


@dataclass(frozen=True)
class WaitingRow:
    """Images that wait for the thumbnailer, and the tracker's progress."""

    images: int
    oldest_seconds: float | None
    caught_up_to: datetime | None


@dataclass(frozen=True)
class Progress:
    """The tracker's progress."""

    caught_up_to: datetime | None


@dataclass(frozen=True)
class OrderRow:
    """An order of an operator, or a run that the tracker began itself."""

    id: uuid.UUID
    state: str
    dry_run: bool
    requested_by: str
    requested_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    error: str


@dataclass(frozen=True)
class ReconciliationRow(OrderRow):
    """A run of reconciliation."""

    objects: int
    found: dict[str, int] | None


@dataclass(frozen=True)
class RedriveRow(OrderRow):
    """A redrive, and what became of its images."""

    parameters: dict[str, Any]
    redriven: int
    done: int
    failed: int
    in_progress: int
    superseded: int


@dataclass(frozen=True)
class ReconciledImageRow:
    """An image that a run of reconciliation found."""

    image_id: uuid.UUID
    drift: str
    key: str | None
    found_at: datetime
    repaired: bool
    status: str | None


@dataclass(frozen=True)
class RedrivenImageRow:
    """An image of a redrive, as it is now."""

    image_id: uuid.UUID
    code: str
    status: str | None
    error: str | None
    result: str


@dataclass(frozen=True)
class _Objects:
    objects: int


@dataclass(frozen=True)
class Scope:
    """Which FAILED images are meant. Empty filters match all; ``until`` leaves out those that fail later."""

    until: datetime
    codes: Collection[str] = ()
    ids: Collection[uuid.UUID] = ()
    since: datetime | None = None


class OperationsRepository:
    """Reads the views. Every method may raise DependencyUnavailable or DependencyRejected."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def now(self) -> datetime:
        """Return the time by the database's clock, which also sets the times of the rows."""
        return (await self._database.fetch_all(queries.NOW, {}, Now))[0].now

    async def counts(self) -> dict[str, int]:
        """Count the images in each state."""
        found = await self._database.fetch_all(queries.COUNTS, {}, StatusCount)
        return {row.status: row.images for row in found}

    async def failures(self) -> Sequence[FailureRow]:
        """Count the images that failed within a week, by code."""
        return await self._database.fetch_all(queries.FAILURES, {}, FailureRow)

    async def count_failed(self, scope: Scope) -> dict[str, int]:
        """Count the FAILED images of a scope, by code."""
        values = {
            "until": scope.until,
            "since": scope.since,
            "codes": list(scope.codes) or None,
            "ids": list(scope.ids) or None,
        }
        found = await self._database.fetch_all(queries.COUNT_SCOPE, values, CodeCount)
        return {row.code: row.images for row in found}

    async def waiting(self) -> WaitingRow:
        """Count the images that wait for the thumbnailer."""
        return (await self._database.fetch_all(queries.WAITING, {}, WaitingRow))[0]

    async def caught_up_to(self) -> datetime | None:
        """Return the time up to which the tracker has recorded every event."""
        return (await self._database.fetch_all(queries.CAUGHT_UP_TO, {}, Progress))[0].caught_up_to

    async def throughput(self) -> ThroughputRow:
        """Compute from the latest changes what became DONE."""
        values = {"changes": RECENT_CHANGES, "window": WINDOW}
        return (await self._database.fetch_all(queries.THROUGHPUT, values, ThroughputRow))[0]

    async def workers(self) -> Sequence[WorkerRow]:
        """List the thumbnailers."""
        return await self._database.fetch_all(queries.WORKERS, {}, WorkerRow)

    async def queues(self) -> Sequence[QueueRow]:
        """List the lengths of the queues as last measured."""
        return await self._database.fetch_all(queries.QUEUES, {}, QueueRow)

    async def dead_letters(self) -> Sequence[DeadLetterRow]:
        """List the dead letters that the tracker has read, by queue."""
        return await self._database.fetch_all(queries.DEAD_LETTERS, {}, DeadLetterRow)

    async def reconciliations(self, run_id: uuid.UUID | None = None) -> Sequence[ReconciliationRow]:
        """List the latest runs of reconciliation, or one of them."""
        values = {"id": run_id, "limit": MAX_ORDERS}
        return await self._database.fetch_all(queries.RECONCILIATIONS, values, ReconciliationRow)

    async def expected_objects(self) -> int | None:
        """Return how many objects the last complete run of reconciliation compared."""
        found = await self._database.fetch_all(queries.EXPECTED_OBJECTS, {}, _Objects)
        return found[0].objects if found else None

    async def reconciled_images(self, run_id: uuid.UUID) -> Sequence[ReconciledImageRow]:
        """List the first images that a run of reconciliation found."""
        values = {"id": run_id, "limit": MAX_IMAGES}
        return await self._database.fetch_all(queries.RECONCILED_IMAGES, values, ReconciledImageRow)

    async def redrives(self, redrive_id: uuid.UUID | None = None) -> Sequence[RedriveRow]:
        """List the latest redrives, or one of them."""
        values = {"id": redrive_id, "limit": MAX_ORDERS}
        return await self._database.fetch_all(queries.REDRIVES, values, RedriveRow)

    async def redriven_images(self, redrive_id: uuid.UUID) -> Sequence[RedrivenImageRow]:
        """List the first images of a redrive."""
        values = {"id": redrive_id, "limit": MAX_IMAGES}
        return await self._database.fetch_all(queries.REDRIVEN_IMAGES, values, RedrivenImageRow)
