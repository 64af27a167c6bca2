"""The hub: reads each change once and distributes it to the clients that follow the feed.

A notification of the tracker's commit says that there is something to read. Reading once a second is the floor,
for when notifications are lost: a broken connection, or a connection pooler in between. While no client follows the
feed, nothing is read.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from thumbmill.core.contracts.limits import Policy
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.gateway.limits.limiter import RateLimiter, RequestLimits
from thumbmill.gateway.limits.places import Places
from thumbmill.gateway.live.changes import Page
from thumbmill.gateway.live.event_ids import EventId, FeedHead, find_reset
from thumbmill.gateway.live.selection import Selection
from thumbmill.gateway.live.subscriptions import Reset, Subscribers, Subscription
from thumbmill.gateway.metrics import LIVE_CONNECTIONS, LIVE_CONNECTIONS_REJECTED, SLOW_STREAMS
from thumbmill.gateway.problems import Code, Problem

log = structlog.get_logger()

POLL_SECONDS = 1.0
MIN_INTERVAL_SECONDS = 0.05  # between two reads: at 600 changes a second some 30 in each
START_SECONDS = 5  # for the first read, after which clients can be followed
RECONNECT_SECONDS = 1.0  # until a lost connection for notifications is opened again
CLOSE_SECONDS = 1.0  # for clients to read the end of their streams
ACCESS_SECONDS = 1.0  # between two checks whether clients still have access


@dataclass(frozen=True)
class _Connection:
    abort: Callable[[], None]
    has_access: Callable[[], bool]


def _always() -> bool:
    return True


class Feed(Protocol):
    """What the hub reads."""

    async def head(self) -> FeedHead: ...
    async def after(self, seq: int, selection: Selection | None) -> Page: ...


class Hub:
    """Distributes changes, and counts the live connections: streams and waits."""

    def __init__(
        self,
        feed: Feed,
        notifications: Callable[[], AsyncIterator[object]],
        limiter: RateLimiter,
        *,
        max_connections: int,
    ) -> None:
        self._feed = feed
        self._notifications = notifications
        self._limiter = limiter
        self._places = Places(max_connections)
        self._connections: dict[Subscription, _Connection] = {}
        self._subscribers = Subscribers()
        self._head: FeedHead | None = None  # up to which changes were distributed; None while nothing is read
        self._read_at = 0.0
        self._is_closed = False
        self._wake = asyncio.Event()
        self._started = asyncio.Event()

    async def run(self) -> None:
        """Read and distribute until the task is cancelled."""
        others = [asyncio.create_task(self._listen()), asyncio.create_task(self._watch_access())]
        try:
            while True:
                await self._pause()
                await self._read()
        finally:
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)

    @contextmanager
    def subscribe(
        self,
        kind: str,
        selection: Selection,
        limits: RequestLimits,
        abort: Callable[[], None] = lambda: None,
        has_access: Callable[[], bool] = _always,
    ) -> Iterator[Subscription]:
        """Count a live connection, and yield its subscription. ``abort`` closes a connection that does not read.

        The subscription is closed once its client has no access any more. No change is queued before ``follow``.
        Raise Problem if there are too many, or the client has its share.
        """
        if self._is_closed or not self._places.are_free_for(limits.client):
            LIVE_CONNECTIONS_REJECTED.labels(kind).inc()
            raise Problem(Code.TOO_MANY_STREAMS)
        self._limiter.check_places(limits, Policy.LIVE, self._places)

        def on_overflow() -> None:
            SLOW_STREAMS.inc()
            abort()

        subscription = Subscription(selection, on_overflow)
        self._connections[subscription] = _Connection(abort, has_access)
        self._places.take(limits.client)
        LIVE_CONNECTIONS.labels(kind).inc()
        self._wake.set()
        try:
            yield subscription
        finally:
            LIVE_CONNECTIONS.labels(kind).dec()
            self._places.free(limits.client)
            self._subscribers.remove(subscription)
            del self._connections[subscription]
            if not self._connections:
                self._head = None
                self._started.clear()

    async def start(self) -> None:
        """Wait until the hub reads the feed. Raise DependencyUnavailable."""
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._started.wait()
        except TimeoutError as error:
            raise DependencyUnavailable("postgres", "the feed of changes cannot be read") from error

    def follow(self, subscription: Subscription) -> FeedHead:
        """Queue every change from now on, and return the head after which these are. Call ``start`` before."""
        assert self._head is not None  # noqa: S101 - it is started
        self._subscribers.add(subscription)
        return self._head

    @property
    def head(self) -> FeedHead | None:
        """The head up to which everything was distributed."""
        return self._head

    @property
    def lag_seconds(self) -> float | None:
        """How far the distributed changes are behind what happens; None if the tracker has recorded nothing yet."""
        if self._head is None or self._head.lag_seconds is None:
            return None
        return max(0.0, self._head.lag_seconds) + asyncio.get_running_loop().time() - self._read_at

    def close(self) -> None:
        """End all streams and waits at once, and abort after a second the connections that do not read."""
        self._is_closed = True
        self._end(tuple(self._connections))

    def _end(self, subscriptions: Sequence[Subscription]) -> None:
        for subscription in subscriptions:
            subscription.close()
        asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._abort, subscriptions)

    def _abort(self, subscriptions: Sequence[Subscription]) -> None:
        for subscription in subscriptions:
            if connection := self._connections.get(subscription):
                connection.abort()

    async def _watch_access(self) -> None:
        """End the streams of clients whose key was revoked or whose session has ended."""
        while True:
            await asyncio.sleep(ACCESS_SECONDS)
            connections = self._connections.items()
            if ended := [one for one, client in connections if not one.is_closed and not client.has_access()]:
                self._end(ended)

    async def _pause(self) -> None:
        """Wait for a reason to read: the first client, a notification, or that a second has passed."""
        loop = asyncio.get_running_loop()
        while not self._connections:
            self._wake.clear()
            await self._wake.wait()
        if self._started.is_set():
            await asyncio.sleep(self._read_at + MIN_INTERVAL_SECONDS - loop.time())
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._read_at + POLL_SECONDS):
                    await self._wake.wait()
        self._wake.clear()

    async def _read(self) -> None:
        began = asyncio.get_running_loop().time()
        try:
            head = self._head
            if head is None:
                self._set_head(await self._feed.head(), began)
                return
            page = await self._feed.after(head.last, None)
        except DependencyUnavailable as error:
            log.warning("feed_unavailable", error=str(error))
        except Exception:  # a bug: without this handler, every stream would be silent for ever
            log.exception("feed_failed")
        else:
            self._distribute(head, page, began)
            return
        await asyncio.sleep(POLL_SECONDS)

    def _distribute(self, before: FeedHead, page: Page, began: float) -> None:
        if self._head is None:  # the last client has left
            return
        if reason := find_reset(EventId(before.epoch, before.last), page.head):
            log.warning("feed_reset", reason=reason.value, head=str(page.head.id))
            self._set_head(page.head, began)
            for subscription in tuple(self._connections):
                subscription.offer(Reset(reason, page.head))
            return
        self._subscribers.distribute(page.changes)
        self._set_head(replace(page.head, last=page.position), began)
        if not page.is_last:
            self._wake.set()

    def _set_head(self, head: FeedHead, began: float) -> None:
        if not self._connections:
            return
        self._head, self._read_at = head, began
        self._started.set()

    async def _listen(self) -> None:
        """Wake the reader at each notification; without them it reads once a second."""
        while True:
            try:
                async for _ in self._notifications():
                    self._wake.set()
            except DependencyUnavailable as error:
                log.warning("notifications_unavailable", error=str(error))
            await asyncio.sleep(RECONNECT_SECONDS)
