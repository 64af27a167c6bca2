"""Ids of changes and positions in the feed. Pure."""

import re
from dataclasses import dataclass
from enum import StrEnum

EARLIEST = "earliest"  # instead of an id: from the oldest change that is kept

_EVENT_ID = re.compile(r"([A-Za-z0-9]{1,32})-([0-9]{1,18})")


@dataclass(frozen=True)
class EventId:
    """The id of a change: its number in the feed, and the epoch, which is renewed when a backup is restored."""

    epoch: str
    seq: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.seq}"


@dataclass(frozen=True, kw_only=True)
class FeedHead:
    """What the feed holds: the changes from ``oldest`` to ``last``."""

    epoch: str
    last: int
    oldest: int
    # Age of the time up to which the tracker has recorded every event; None before its first.
    lag_seconds: float | None = None

    @property
    def id(self) -> EventId:
        return EventId(self.epoch, self.last)

    @property
    def start(self) -> EventId:
        """The position before the oldest change."""
        return EventId(self.epoch, max(0, self.oldest - 1))


class ResetReason(StrEnum):
    """Why a client's position cannot be resumed, so that it has to read the present state."""

    INVALID_ID = "invalid_id"
    EPOCH_CHANGED = "epoch_changed"
    EXPIRED = "expired"
    AHEAD = "ahead"


def parse_event_id(text: str) -> EventId | None:
    """Return the id, or None if the gateway cannot have written this text."""
    match = _EVENT_ID.fullmatch(text)
    return EventId(match[1], int(match[2])) if match else None


def parse_position(text: str, head: FeedHead) -> EventId | ResetReason:
    """Return the position after which a client wants to continue, or the reason why that is not possible."""
    position = head.start if text == EARLIEST else parse_event_id(text)
    if position is None:
        return ResetReason.INVALID_ID
    return find_reset(position, head) or position


def find_reset(position: EventId, head: FeedHead) -> ResetReason | None:
    """Return why changes after this position may be missing from the feed; None if it has them all."""
    if position.epoch != head.epoch:
        return ResetReason.EPOCH_CHANGED
    if position.seq > head.last:  # a restored backup without a new epoch
        return ResetReason.AHEAD
    if position.seq < head.start.seq:
        return ResetReason.EXPIRED
    return None
