"""Batches of uploads: their images, counted by state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from thumbmill.core.contracts.status import Status
from thumbmill.gateway.images.database import Database
from thumbmill.gateway.images.polling import poll_tracker
from thumbmill.gateway.images.states import TERMINAL
from thumbmill.gateway.images.tenant_views import IMAGES
from thumbmill.gateway.live.event_ids import EventId
from thumbmill.gateway.live.models import BatchOut
from thumbmill.gateway.live.shared_reads import SharedReads

_SUMMARY = f"""
    SELECT
        (SELECT nullif(caught_up_to, '-infinity') FROM tracker_progress) AS caught_up_to,
        (SELECT epoch FROM feed_head) AS epoch, status, number AS images, last
    FROM (SELECT) AS always
    LEFT JOIN (
        SELECT status, count(*) AS number, max(split_part(event_id, '-', 2)::bigint) AS last
        FROM {IMAGES} AS images WHERE batch = %(batch)s
        GROUP BY status
    ) AS counted ON true
"""  # noqa: S608 - constants


@dataclass(frozen=True)
class StateCount:
    """The images of a batch in one state, all None if the batch has no images."""

    caught_up_to: datetime | None
    epoch: str
    status: str
    images: int
    last: int | None  # number of the last change among them


@dataclass(frozen=True)
class Batch:
    """The state of a batch."""

    counts: Mapping[Status, int]
    event_id: EventId | None
    caught_up_to: datetime | None  # the tracker had recorded everything that happened before

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def is_settled(self) -> bool:
        """Whether there are images, and none of those that are recorded will change without a request."""
        return bool(self.counts) and set(self.counts) <= TERMINAL

    def is_finished(self, arrived_at: datetime) -> bool:
        """Whether the batch is settled, and every upload that was answered before this time is recorded."""
        return self.is_settled and self.caught_up_to is not None and self.caught_up_to >= arrived_at


def to_batch_out(label: str, batch: Batch, arrived_at: datetime) -> BatchOut:
    """Return the response for a batch."""
    return BatchOut(
        batch=label,
        total=batch.total,
        counts=dict(batch.counts),
        finished=batch.is_finished(arrived_at),
        event_id=str(batch.event_id) if batch.event_id else None,
    )


def batch_headers(batch: BatchOut) -> dict[str, str]:
    """Return the headers of a batch's response; ``Retry-After`` until it is finished."""
    counts = "-".join(f"{status.value}.{number}" for status, number in sorted(batch.counts.items()))
    headers = {
        "ETag": f'W/"{batch.event_id or 0}-{counts}-{batch.finished:d}"',
        "Cache-Control": "private, no-cache",
    }
    return headers if batch.finished else {**headers, "Retry-After": "1"}


class Batches:
    """Reads batches."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._shared: SharedReads[tuple[str, str], Batch] = SharedReads()

    async def find(self, batch: str, tenant: str, arrived_at: datetime) -> Batch:
        """Return a tenant's batch. If it is settled, wait until the tracker has recorded earlier uploads."""
        return await poll_tracker(
            lambda: self._shared.get((batch, tenant), partial(self._read, batch, tenant)),
            lambda found: not found.is_settled or found.is_finished(arrived_at),
        )

    async def _read(self, batch: str, tenant: str) -> Batch:
        values = {"batch": batch, "tenant": tenant}
        return to_batch(await self._database.fetch_all(_SUMMARY, values, StateCount))


def to_batch(rows: Sequence[StateCount]) -> Batch:
    """Return the batch that these counts describe."""
    last = max((row.last for row in rows if row.last is not None), default=None)
    return Batch(
        counts={Status(row.status): row.images for row in rows if row.status is not None},
        event_id=None if last is None else EventId(rows[0].epoch, last),
        caught_up_to=rows[0].caught_up_to,
    )
