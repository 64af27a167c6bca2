"""A feed in memory, gateways that read it, and clients of their streams; on a clock that never waits."""

import asyncio
import selectors
import uuid
from dataclasses import replace
from datetime import UTC, datetime

from pydantic_core import to_json

from tests.support.sse import parse_events
from tests.unit.gateway.fakes import NO_LIMITS
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.gateway.http.disconnects import ABORT
from thumbmill.gateway.images.repository import ImageRow
from thumbmill.gateway.live.changes import Change, Page
from thumbmill.gateway.live.event_ids import EventId, FeedHead
from thumbmill.gateway.live.hub import Hub
from thumbmill.gateway.live.selection import Selection
from thumbmill.gateway.live.streams import StreamRequest, Streams
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.urls import Links

LINKS = Links("http://here")
EVERYTHING = Selection("")  # of the default tenant
NOW = datetime(2026, 11, 29, tzinfo=UTC)


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self):
        super().__init__(selectors.DefaultSelector())
        self._now = 0.0
        select = self._selector.select

        def jump(timeout):
            self._now += timeout or 0
            return select(0)

        self._selector.select = jump

    def time(self):
        return self._now


def run(coroutine):
    """Run a coroutine on a virtual clock."""
    with asyncio.Runner(loop_factory=VirtualClockLoop) as runner:
        return runner.run(coroutine)


def make_row(image_id, *, status="DONE", version=1, event_id=None, batch=None):
    return ImageRow(
        id=image_id,
        key="a key",
        status=status,
        file_name=None,
        content_type=None,
        size=None,
        generation=1,
        format=None,
        width=None,
        height=None,
        sha256=None,
        variants=[],
        details=None,
        damaged=False,
        attempts=0,
        next_attempt_at=None,
        error={"code": "unreadable_image", "detail": "broken", "retryable": False} if status == "FAILED" else None,
        created_at=NOW,
        updated_at=NOW,
        expires_at=None,
        version=version,
        batch=batch,
        event_id=event_id,
    )


class FakeFeed:
    """The feed, and the images that it shows."""

    def __init__(self, *, limit=3, window=5):
        self.epoch = "e1"
        self.changes = []
        self.oldest = 1
        self.unknown = set()  # ids that nobody has used
        self.limit = limit
        self.window = window
        self.error = None
        self.replay_seconds = 0.001  # for a query of a stream with a selection
        self.most_at_once = self._selected = 0  # queries of streams with a selection
        self.reads = []  # the times of reads after a position
        self.bells = []  # events of the hubs that listen

    def publish(self, status="PENDING", *, image_id=None, batch=None, notified=True, tenant=""):
        image_id = image_id or uuid.uuid4()
        seq = len(self.changes) + 1
        row = make_row(image_id, status=status, version=seq, batch=batch, event_id=f"{self.epoch}-{seq}")
        change = Change(
            id=EventId(self.epoch, seq),
            tenant=tenant,
            image_id=image_id,
            version=seq,
            generation=1,
            type=f"image.{status.lower()}",
            batch=batch,
            at=NOW,
            data=to_json(row).decode(),
        )
        self.changes.append(change)
        if notified:
            for bell in self.bells:
                bell.set()
        return change

    async def head(self):
        await asyncio.sleep(0.001)
        if self.error:
            raise self.error
        return FeedHead(epoch=self.epoch, last=len(self.changes), oldest=self.oldest, lag_seconds=0.5)

    async def after(self, seq, selection, limit=None):
        head = await self.head()
        self.reads.append(asyncio.get_running_loop().time())
        limit = limit or self.limit
        window = 10**9 if selection and (selection.images or selection.batch is not None) else self.window
        matching = [
            replace(change, id=EventId(self.epoch, change.id.seq), rendered={})
            for change in self.changes[: head.last]
            if max(seq, self.oldest - 1) < change.id.seq <= seq + window
            and (selection is None or selection.matches(change))
        ][:limit]
        position = matching[-1].id.seq if len(matching) == limit else max(seq, min(seq + window, head.last))
        # The answer is on its way while more is published, and while a hub reads that.
        if selection in (None, EVERYTHING):
            await asyncio.sleep(0.001)
        else:
            self._selected += 1
            self.most_at_once = max(self.most_at_once, self._selected)
            await asyncio.sleep(self.replay_seconds)
            self._selected -= 1
        return Page(head, matching, position)

    async def notifications(self):
        bell = asyncio.Event()
        self.bells.append(bell)
        while True:
            await bell.wait()
            bell.clear()
            yield "a change"

    async def find(self, image_id, _=""):
        """Look an image up, as ``Lookup`` does."""
        await asyncio.sleep(0.001)
        if image_id in self.unknown:
            raise Problem(Code.IMAGE_NOT_FOUND)
        for change in reversed(self.changes):
            if change.image_id == image_id:
                return replace(change.row, event_id=f"{self.epoch}-{change.id.seq}")
        return make_row(image_id, status="PENDING", version=0)


UNAVAILABLE = DependencyUnavailable("postgres", "no answer")


class Gateway:
    """One gateway that reads a feed."""

    def __init__(self, feed, *, max_connections=100):
        self.hub = Hub(feed, feed.notifications, NO_LIMITS, max_connections=max_connections)
        self.streams = Streams(self.hub, feed, feed)
        self._running = asyncio.create_task(self.hub.run())

    async def stop(self):
        self.hub.close()
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)


class StreamClient:
    """A client of one stream. It can stop reading, and cut the connection."""

    has_access = True

    def __init__(self, gateway, selection=EVERYTHING, resume=None, **request):
        self.content = b""
        self.known_bytes = 0  # that the client has certainly read
        self.resume = resume
        self.status = None
        self.headers = {}
        self.is_aborted = False
        self._reads = asyncio.Event()
        self._reads.set()
        self._is_gone = asyncio.Event()
        self._request = StreamRequest(selection, resume, **request)
        self.task = asyncio.create_task(self._run(gateway))

    async def _run(self, gateway):
        response = gateway.streams.open(self._request, LINKS, lambda: self.has_access)
        await response({"type": "http", ABORT: self._abort}, self._receive, self._send)

    async def opened(self):
        """Wait for the first event."""
        async with asyncio.timeout(10):
            while not self.events:  # noqa: ASYNC110 - on the virtual clock
                await asyncio.sleep(0.001)
        self.known_bytes = len(self.content)

    @property
    def events(self):
        return parse_events(self.content)

    def stop_reading(self):
        self._reads.clear()

    def _abort(self):
        self.is_aborted = True
        self._is_gone.set()
        self._reads.set()

    async def cut(self):
        """Disconnect, and wait until the gateway has noticed."""
        self._is_gone.set()
        self._reads.set()
        await asyncio.gather(self.task, return_exceptions=True)

    async def _receive(self):
        await self._is_gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message):
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            return
        await self._reads.wait()
        if not self._is_gone.is_set():
            self.content += message.get("body", b"")
