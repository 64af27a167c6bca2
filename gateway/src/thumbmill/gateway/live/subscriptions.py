"""Subscriptions: the bounded queues of the clients that follow the feed."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from thumbmill.gateway.live.changes import Change
from thumbmill.gateway.live.event_ids import FeedHead, ResetReason
from thumbmill.gateway.live.selection import Selection

# In one queue, and what one read adds to it.
MAX_CHANGES = 1000
MAX_BYTES = 1024 * 1024  # of the changes' data

K = TypeVar("K")


@dataclass(frozen=True)
class Group:
    """Changes that became known together. All clients that get the same ones share it, and what is rendered."""

    changes: Sequence[Change]
    rendered: dict[tuple[str, str], bytes] = field(default_factory=dict)  # frames, by base and period of their URLs


@dataclass(frozen=True)
class Reset:
    """A gap in the feed: the client has to read the present state, and continues after ``head``."""

    reason: ResetReason
    head: FeedHead


Item = Group | Reset


class Subscription:
    """The queue of one client. A client that does not keep up is closed, and may resume from its last id."""

    def __init__(self, selection: Selection, on_overflow: Callable[[], None]) -> None:
        self.selection = selection
        self.is_closed = False
        self._on_overflow = on_overflow
        self._items: list[Item] = []
        self._changes = self._bytes = 0  # in the queue
        self._ready = asyncio.Event()

    def offer(self, item: Item) -> None:
        """Add an item; close the subscription if too much is queued already."""
        if self.is_closed:
            return
        if self._changes >= MAX_CHANGES or self._bytes >= MAX_BYTES:
            self.close()
            self._on_overflow()
            return
        self._items.append(item)
        if isinstance(item, Group):
            self._changes += len(item.changes)
            self._bytes += sum(len(change.data) for change in item.changes)
        self._ready.set()

    async def take(self, seconds: float) -> list[Item]:
        """Wait for items and return them all; [] after this time, and once the subscription is closed."""
        if not self._ready.is_set() and seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._ready.wait()
        items = self._items  # after a timeout, too: some may have come since it fired
        self._clear()
        if not self.is_closed:
            self._ready.clear()
        return items

    def close(self) -> None:
        """Drop what is queued and end the wait for more."""
        self.is_closed = True
        self._clear()
        self._ready.set()

    def _clear(self) -> None:
        self._items, self._changes, self._bytes = [], 0, 0


class Subscribers:
    """The subscriptions, by what they select."""

    def __init__(self) -> None:
        self._by_image: _Index[object] = _Index()
        self._by_batch: _Index[tuple[str, str]] = _Index()  # of a tenant
        self._others: set[Subscription] = set()

    def add(self, subscription: Subscription) -> None:
        selection = subscription.selection
        if selection.images:
            for image_id in selection.images:
                self._by_image.add(image_id, subscription)
        elif selection.batch is not None:
            self._by_batch.add((selection.tenant, selection.batch), subscription)
        else:
            self._others.add(subscription)

    def remove(self, subscription: Subscription) -> None:
        """Remove a subscription, if it is present."""
        selection = subscription.selection
        for image_id in selection.images:
            self._by_image.remove(image_id, subscription)
        if selection.batch is not None:
            self._by_batch.remove((selection.tenant, selection.batch), subscription)
        self._others.discard(subscription)

    def distribute(self, changes: Sequence[Change]) -> None:
        """Offer the changes to the subscriptions that select them."""
        selected: dict[Subscription, list[Change]] = {}
        for change in changes:
            for subscription in self._find(change):
                if subscription.selection.matches(change):
                    selected.setdefault(subscription, []).append(change)
        for subscription, matching in selected.items():
            subscription.offer(Group(matching))
        groups: dict[Selection, Group] = {}
        for subscription in self._others:
            selection = subscription.selection
            if selection not in groups:
                groups[selection] = Group([change for change in changes if selection.matches(change)])
            if groups[selection].changes:
                subscription.offer(groups[selection])

    def _find(self, change: Change) -> Iterator[Subscription]:
        yield from self._by_image.get(change.image_id)
        if change.batch is not None:
            yield from self._by_batch.get((change.tenant, change.batch))


class _Index(Generic[K]):
    def __init__(self) -> None:
        self._sets: dict[K, set[Subscription]] = {}

    def add(self, key: K, subscription: Subscription) -> None:
        self._sets.setdefault(key, set()).add(subscription)

    def remove(self, key: K, subscription: Subscription) -> None:
        found = self._sets.get(key)
        if found is not None:
            found.discard(subscription)
            if not found:
                del self._sets[key]

    def get(self, key: K) -> "set[Subscription] | tuple[()]":
        return self._sets.get(key, ())
