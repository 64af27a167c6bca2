"""Streams of server-sent events."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from thumbmill.gateway.http.disconnects import ABORT, on_disconnect
from thumbmill.gateway.images.lookup import Lookup
from thumbmill.gateway.limits.limiter import limits_of
from thumbmill.gateway.live.changes import Change, ChangeFeed
from thumbmill.gateway.live.event_ids import (
    EventId,
    FeedHead,
    ResetReason,
    find_reset,
    parse_event_id,
    parse_position,
)
from thumbmill.gateway.live.frames import (
    change_frames,
    group_frames,
    heartbeat_frame,
    hello_frame,
    image_frame,
    reset_frame,
    type_of,
)
from thumbmill.gateway.live.hub import Hub
from thumbmill.gateway.live.selection import FINAL_TYPES, Selection
from thumbmill.gateway.live.subscriptions import Item, Reset, Subscription
from thumbmill.gateway.urls import Links

HEARTBEAT_SECONDS = 15.0  # proxies close a connection that is silent for 60 s, some sooner
# After a restart every client comes back and has missed something. Reading a page takes one of eight connections to
# the database, and rendering it some 20 ms of the event loop: what all other requests would wait for is this often.
MAX_REPLAYS = 4
# Exactly this type: Starlette would add a charset, and some proxies recognize only the bare one.
HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
    "Vary": "Accept, Cookie",
}


@dataclass(frozen=True)
class StreamRequest:
    """What a client wants to follow."""

    selection: Selection
    resume: str | None = None  # id of the last event that it has seen, or `earliest`; None: from now on
    image_id: uuid.UUID | None = None  # begin with the state of this image
    until_final: bool = False  # end once the image is in a final state


@dataclass(frozen=True)
class Streams:
    """Opens streams."""

    hub: Hub
    feed: ChangeFeed
    lookup: Lookup
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    replays: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_REPLAYS))

    def open(self, request: StreamRequest, links: Links, has_access: Callable[[], bool]) -> Response:
        """Return the response that streams to a client for as long as it has access.

        Sending it may raise Problem before it starts.
        """
        return _EventStream(self, request, links, has_access)


class _EventStream(Response):
    def __init__(
        self, streams: Streams, request: StreamRequest, links: Links, has_access: Callable[[], bool]
    ) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._streams = streams
        self._request = request
        self._links = links
        self._has_access = has_access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hub = self._streams.hub
        abort, limits = scope.get(ABORT, _do_nothing), limits_of(scope)
        with hub.subscribe("stream", self._request.selection, limits, abort, self._has_access) as subscription:
            await hub.start()
            with on_disconnect(receive, subscription.close):
                async with aclosing(
                    _Frames(self._streams, self._request, self._links, subscription).all()
                ) as chunks:
                    first = await anext(chunks, None)  # reads the database: an error becomes a problem
                    if first is None:
                        await _nothing_to_follow()(scope, receive, send)
                        return
                    await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                    await send(_body(first))
                    async for chunk in chunks:
                        await send(_body(chunk))
                    await send({"type": "http.response.body", "body": b"", "more_body": False})


class _Frames:
    """The content of one stream."""

    def __init__(self, streams: Streams, request: StreamRequest, links: Links, subscription: Subscription) -> None:
        self._hub = streams.hub
        self._feed = streams.feed
        self._lookup = streams.lookup
        self._heartbeat_seconds = streams.heartbeat_seconds
        self._replays = streams.replays
        self._request = request
        self._links = links
        self._subscription = subscription
        self._position = EventId("", 0)  # everything up to it was yielded
        self._is_final = False  # whether the last change yielded was to a final state

    async def all(self) -> AsyncGenerator[bytes, None]:
        """Yield the first frame with what the client has missed, then changes and heartbeats.

        Yield nothing if there is nothing to follow.
        """
        if self._request.resume is None:
            yield await self._begin_now()
        else:
            head = await self._feed.head()
            position = parse_position(self._request.resume, head)
            if isinstance(position, ResetReason):
                yield await self._begin_now(position)
            else:
                if await self._is_finished(position):
                    return
                self._position = position
                yield hello_frame(position, head.id, head.lag_seconds)
                async for chunk in self._replay():
                    yield chunk
        async for chunk in self._follow():
            yield chunk

    async def _begin_now(self, reason: ResetReason | None = None) -> bytes:
        """Follow the feed from now on; the image's present state comes first, if one is followed."""
        head = self._hub.follow(self._subscription)
        self._position = head.id
        chunk = hello_frame(head.id, head.id, self._hub.lag_seconds)
        if reason is not None:
            chunk += reset_frame(reason, head)
        if self._request.image_id is None:
            return chunk
        row = await self._lookup.find(self._request.image_id, self._request.selection.tenant)
        if row.version == 0:
            return chunk  # the tracker has not recorded it: its first change is still to come
        if row.event_id and (position := parse_event_id(row.event_id)):
            self._position = replace(position, seq=max(position.seq, head.last))
        self._is_final = type_of(row) in FINAL_TYPES
        return chunk + image_frame(row, self._links, row.event_id or str(head.id))

    async def _is_finished(self, position: EventId) -> bool:
        """Return whether the client has seen the end of its image's stream. Raise Problem for an unknown image.

        Browsers reconnect when a stream ends, and only a 204 stops them.
        """
        if self._request.image_id is None:
            return False
        row = await self._lookup.find(self._request.image_id, self._request.selection.tenant)
        last = parse_event_id(row.event_id or "")
        return (
            self._request.until_final and type_of(row) in FINAL_TYPES and (last is None or last.seq <= position.seq)
        )

    async def _replay(self) -> AsyncIterator[bytes]:
        """Yield the changes after the position, and follow the feed once they are nearly all read."""
        followed: FeedHead | None = None
        while followed is None or self._position.seq < followed.last:
            chunk = b""
            async with self._replays:  # not while a slow client receives the page
                if self._subscription.is_closed:
                    return
                page = await self._feed.after(self._position.seq, self._request.selection)
                if reason := find_reset(self._position, page.head):  # it has expired meanwhile
                    self._hub.follow(self._subscription)
                    chunk, followed = self._reset(Reset(reason, page.head)), page.head
                else:
                    self._position = EventId(page.head.epoch, page.position)
                    if page.changes:
                        self._is_final = page.changes[-1].type in FINAL_TYPES
                        chunk = change_frames(page.changes, self._links)
                    if page.is_last and followed is None:
                        followed = self._hub.follow(self._subscription)
            if chunk:
                yield chunk

    async def _follow(self) -> AsyncIterator[bytes]:
        """Yield changes as they come, and heartbeats."""
        loop = asyncio.get_running_loop()
        heartbeat_at = loop.time() + self._heartbeat_seconds
        while not self._subscription.is_closed:
            ends = self._request.until_final and self._is_final
            items = await self._subscription.take(0 if ends else heartbeat_at - loop.time())
            if ends and not items:
                return
            chunks = [self._render(item) for item in items]
            if loop.time() >= heartbeat_at:
                chunks.append(self._heartbeat())
                heartbeat_at = loop.time() + self._heartbeat_seconds
            if chunk := b"".join(chunks):
                yield chunk

    def _render(self, item: Item) -> bytes:
        if isinstance(item, Reset):
            return self._reset(item)
        if item.changes[0].id.seq > self._position.seq:
            chunk, last = group_frames(item, self._links), item.changes[-1]
        else:  # the replay has read further than the hub
            rest: list[Change] = [change for change in item.changes if change.id.seq > self._position.seq]
            if not rest:
                return b""
            chunk, last = change_frames(rest, self._links), rest[-1]
        self._position, self._is_final = last.id, last.type in FINAL_TYPES
        return chunk

    def _reset(self, reset: Reset) -> bytes:
        self._position, self._is_final = reset.head.id, False
        return reset_frame(reset.reason, reset.head)

    def _heartbeat(self) -> bytes:
        """Return a heartbeat. Its id moves the position of a client whose own changes are rare."""
        head = self._hub.head
        if head and head.epoch == self._position.epoch and head.last > self._position.seq:
            self._position = head.id  # the queue is empty, so everything up to there was yielded
        return heartbeat_frame(self._position, head.id if head else self._position, self._hub.lag_seconds)


def _nothing_to_follow() -> Response:
    return Response(status_code=204, headers={"Cache-Control": "no-store"})


def _body(chunk: bytes) -> Message:
    return {"type": "http.response.body", "body": chunk, "more_body": True}


def _do_nothing() -> None:
    """Leave the connection to its timeouts."""
