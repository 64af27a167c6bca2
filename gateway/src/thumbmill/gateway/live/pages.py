"""Pages of the list of changes."""

import json
from dataclasses import dataclass
from functools import partial

from thumbmill.gateway.live.changes import ChangeFeed, Page
from thumbmill.gateway.live.event_ids import EventId, ResetReason, find_reset, parse_position
from thumbmill.gateway.live.frames import render_change
from thumbmill.gateway.live.selection import Selection
from thumbmill.gateway.urls import Links


@dataclass(frozen=True)
class ChangeList:
    """A page of changes, or the reason why there is none after a client's position."""

    page: Page
    reset: ResetReason | None = None

    @property
    def is_news(self) -> bool:
        """Whether the client should get this page rather than wait."""
        return bool(self.page.changes) or self.reset is not None or not self.page.is_last


async def find_start(feed: ChangeFeed, after: str | None) -> EventId | ResetReason:
    """Return the position after which a client wants changes; without ``after``, from now on."""
    head = await feed.head()
    return head.id if after is None else parse_position(after, head)


async def read_list(feed: ChangeFeed, start: EventId | ResetReason, selection: Selection, limit: int) -> ChangeList:
    """Return the first changes after a position."""
    if isinstance(start, ResetReason):
        head = await feed.head()
        return ChangeList(Page(head, (), head.last), start)
    page = await feed.after(start.seq, selection, limit)
    if reason := find_reset(start, page.head):
        return ChangeList(Page(page.head, (), page.head.last), reason)
    return ChangeList(page)


def render_list(found: ChangeList, links: Links) -> bytes:
    """Return the body of a response: a ``ChangePage`` with each change as it is in a stream."""
    page, head = found.page, found.page.head
    rest = {
        "next": str(EventId(head.epoch, page.position)),
        "head": str(head.id),
        "lag_s": None if head.lag_seconds is None else round(max(0.0, head.lag_seconds), 1),
        "reset": found.reset,
    }
    items = b",".join(map(partial(render_change, links=links), page.changes))
    return b'{"items":[' + items + b"]," + json.dumps(rest).encode()[1:]
