"""The feed of changes in Postgres: what the tracker recorded, in the order of its commits."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, LiteralString

from pydantic import TypeAdapter

from thumbmill.gateway.images.database import Database
from thumbmill.gateway.images.repository import ImageRow
from thumbmill.gateway.images.tenant_views import CHANGES
from thumbmill.gateway.live.event_ids import EventId, FeedHead
from thumbmill.gateway.live.selection import Selection
from thumbmill.gateway.live.shared_reads import SharedReads

PAGE = 200  # changes in one read: 4,000 a second
# A query by tenant or type reads past all other changes. This bounds it: 50,000 of them take some 20 ms.
WINDOW = 50_000
_UNBOUNDED = 10**18  # an index finds the changes of an image or a batch

# One statement reads one snapshot, so the feed has every change up to its ``last``.
_HEAD = """
    SELECT epoch, last, oldest,
        extract(epoch FROM clock_timestamp() - nullif(caught_up_to, '-infinity'))::float AS lag_seconds
    FROM feed_head, tracker_progress
"""
_AFTER: LiteralString = """
    SELECT head.*, seq, tenant, image_id, version, generation, type, batch, at, data
    FROM ({head}) AS head
    LEFT JOIN LATERAL (
        SELECT seq, tenant, image_id, version, generation, type, batch, at, data::text AS data
        FROM {source} AS changes
        WHERE seq > %(after)s AND seq <= %(after)s + %(window)s {conditions}
        ORDER BY seq LIMIT %(limit)s
    ) AS found ON true
    ORDER BY seq
"""

_ROW = TypeAdapter(ImageRow)


@dataclass(kw_only=True)
class Change:
    """One change of an image. ``data`` has the columns of its row after the change, as JSON."""

    id: EventId
    tenant: str
    image_id: uuid.UUID
    version: int
    generation: int
    type: str
    batch: str | None
    at: datetime
    data: str
    rendered: dict[tuple[str, str], bytes] = field(default_factory=dict)  # JSON, by base and period of its URLs

    @property
    def row(self) -> ImageRow:
        """The image as it was after this change."""
        return replace(_ROW.validate_json(self.data), event_id=str(self.id))


@dataclass(frozen=True)
class Page:
    """Changes after a position, and the position up to which all that match were read."""

    head: FeedHead
    changes: Sequence[Change]
    position: int

    @property
    def is_last(self) -> bool:
        """Whether nothing was recorded after this page when it was read."""
        return self.position >= self.head.last


@dataclass(frozen=True, kw_only=True)
class _HeadAndChange:
    """The head of the feed, and a change, all None if there is none."""

    epoch: str
    last: int
    oldest: int
    lag_seconds: float | None
    seq: int
    tenant: str
    image_id: uuid.UUID
    version: int
    generation: int
    type: str
    batch: str | None
    at: datetime
    data: str


class ChangeFeed:
    """Reads the feed. Every method may raise DependencyUnavailable or DependencyRejected."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._heads: SharedReads[None, FeedHead] = SharedReads()
        self._pages: SharedReads[tuple[int, Selection | None, int], Page] = SharedReads()

    async def head(self) -> FeedHead:
        """Return what the feed holds now."""
        return await self._heads.get(None, self._read_head)

    async def after(self, seq: int, selection: Selection | None, limit: int = PAGE) -> Page:
        """Return the next changes of the selection after a position. None: those of all tenants, for no client."""
        return await self._pages.get((seq, selection, limit), partial(self._read_page, seq, selection, limit))

    async def _read_head(self) -> FeedHead:
        return (await self._database.fetch_all(_HEAD, {}, FeedHead))[0]

    async def _read_page(self, seq: int, selection: Selection | None, limit: int) -> Page:
        is_indexed = selection is not None and (selection.images or selection.batch is not None)
        window = _UNBOUNDED if is_indexed else WINDOW
        parameters: dict[str, Any] = {"after": seq, "window": window, "limit": limit}
        if selection is not None:
            parameters |= {
                "tenant": selection.tenant,
                "images": list(selection.images),
                "batch": selection.batch,
                "types": sorted(selection.types),
            }
        rows = await self._database.fetch_all(_query(selection), parameters, _HeadAndChange)
        head = FeedHead(
            epoch=rows[0].epoch, last=rows[0].last, oldest=rows[0].oldest, lag_seconds=rows[0].lag_seconds
        )
        changes = [_to_change(row) for row in rows if row.seq is not None]
        if len(changes) == limit:
            return Page(head, changes, changes[-1].id.seq)
        return Page(head, changes, max(seq, min(seq + window, head.last)))


def _query(selection: Selection | None) -> LiteralString:
    """Return the query with only the conditions that apply, so that an index serves each form."""
    if selection is None:
        return _AFTER.format(head=_HEAD, source="image_changes", conditions="")
    images: LiteralString = "AND image_id = ANY(%(images)s)" if selection.images else ""
    batch: LiteralString = "AND batch = %(batch)s" if selection.batch is not None else ""
    types: LiteralString = "AND type = ANY(%(types)s)" if selection.types else ""
    return _AFTER.format(head=_HEAD, source=CHANGES, conditions=f"{images} {batch} {types}")


def _to_change(row: _HeadAndChange) -> Change:
    return Change(
        id=EventId(row.epoch, row.seq),
        tenant=row.tenant,
        image_id=row.image_id,
        version=row.version,
        generation=row.generation,
        type=row.type,
        batch=row.batch,
        at=row.at,
        data=row.data,
    )
