"""Taking an upload: from the request's bytes to an object in the bucket."""

import asyncio
import random
import uuid
from dataclasses import dataclass

from fastapi import Request
from starlette.requests import ClientDisconnect

from thumbmill.core.object_store.store import Storage
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.http.body_rate import BodyRateLimits, BodyRateMonitor
from thumbmill.gateway.http.request_body import read_body
from thumbmill.gateway.metrics import UPLOAD_BYTES, UPLOADS, UPLOADS_RUNNING
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.tracing import traceparent_from
from thumbmill.gateway.uploads.file_body import MAX_OVERHEAD_BYTES, open_file_body
from thumbmill.gateway.uploads.streaming_upload import StreamingUpload
from thumbmill.gateway.urls import links_of

WINDOW_SECONDS = 5  # over which those that are turned away are counted
MAX_RETRY_AFTER_SECONDS = 30


@dataclass(frozen=True)
class Stored:
    """An image that is in the bucket."""

    image_id: uuid.UUID
    key: str
    file_name: str | None
    content_type: str
    size: int  # bytes


class RetryAfterJitter:
    """How many were turned away lately, and when each of them should come again.

    With one answer for all, a few hundred would come back together each second, and refusing them would cost more
    than the uploads. So the pauses are spread over a time in which about as many can be served.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._began = float("-inf")
        self._now = self._before = 0  # turned away in this and in the last period

    def pause(self, now: float) -> int:
        """Return the seconds after which one more that is turned away shall try again."""
        if now - self._began >= WINDOW_SECONDS:
            self._before = self._now if now - self._began < 2 * WINDOW_SECONDS else 0
            self._began, self._now = now, 0
        self._now += 1
        longest = max(self._now, self._before) // self._slots
        return random.randint(1, min(MAX_RETRY_AFTER_SECONDS, max(1, longest)))  # noqa: S311 - no secret


class UploadService:
    """The places for uploads, of which there are so many and no more."""

    def __init__(
        self,
        storage: Storage,
        executor: BoundedExecutor,
        *,
        slots: int,
        max_bytes: int,
        deadline_seconds: float,
        pace: BodyRateLimits,
    ) -> None:
        self._storage = storage
        self._executor = executor
        self._slots = slots
        self._max_bytes = max_bytes
        self._deadline_seconds = deadline_seconds
        self._pace_limits = pace
        self._retry_after = RetryAfterJitter(slots)
        self._taken = 0
        self._coming: set[BodyRateMonitor] = set()  # whose bodies are being read
        self._clearing: set[asyncio.Task[None]] = set()

    async def take(self, request: Request) -> Stored:
        """Store the file in the request's body. Raises Problem; ClientDisconnect when nobody waits any more."""
        self._refuse_early(request)
        body = open_file_body(request.headers)
        writer = self._begin(request)
        pace = BodyRateMonitor(self._pace_limits)
        self._coming.add(pace)
        try:
            async for data in read_body(request.receive, self._max_bytes + MAX_OVERHEAD_BYTES, pace):
                for piece in body.feed(data):
                    writer.add(piece)
                await writer.flush(body.file_name)
            self._coming.discard(pace)
            body.finish()
            await writer.finish(body.file_name)
        except Problem as problem:
            UPLOADS.labels(problem.code.value).inc()
            raise _add_location(problem, writer, request) from problem
        except ClientDisconnect:
            UPLOADS.labels("gone").inc()
            raise
        finally:
            self._coming.discard(pace)
            self._end(writer)
        UPLOADS.labels("stored").inc()
        UPLOAD_BYTES.inc(writer.size)
        assert writer.image_id is not None  # noqa: S101 - what was finished has a name
        return Stored(writer.image_id, writer.key, body.file_name, writer.content_type, writer.size)

    async def close(self) -> None:
        """Wait until nothing half done is left."""
        if self._clearing:
            await asyncio.wait(self._clearing, timeout=self._deadline_seconds)

    def _refuse_early(self, request: Request) -> None:
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._max_bytes + MAX_OVERHEAD_BYTES:
            raise Problem(Code.FILE_TOO_LARGE, f"the limit is {self._max_bytes} bytes", max_bytes=self._max_bytes)
        if self._taken >= self._slots and not self._make_room():
            UPLOADS.labels(Code.TOO_MANY_UPLOADS.value).inc()
            pause = self._retry_after.pause(asyncio.get_running_loop().time())
            raise Problem(Code.TOO_MANY_UPLOADS, headers={"Retry-After": str(pause)})

    def _make_room(self) -> bool:
        """Have the slowest body give way, if one is slower than allowed; or a few trickles would close the door.

        It does so at once, and holds no more than one part until then.
        """
        slowest = max(self._coming, key=lambda pace: pace.shortfall, default=None)
        if slowest is None or slowest.shortfall == 0:
            return False
        self._coming.discard(slowest)
        slowest.evict()
        return True

    def _begin(self, request: Request) -> StreamingUpload:
        self._taken += 1
        UPLOADS_RUNNING.inc()
        return StreamingUpload(
            self._storage,
            self._executor,
            max_bytes=self._max_bytes,
            deadline_seconds=self._deadline_seconds,
            traceparent=traceparent_from(request.headers.get("traceparent")),
        )

    def _end(self, writer: StreamingUpload) -> None:
        """Free the place; where something is still under way, it keeps its place until that has ended."""
        if writer.is_settled:
            self._free()
            return
        task = asyncio.create_task(writer.abort())
        self._clearing.add(task)
        task.add_done_callback(self._clearing.discard)
        task.add_done_callback(lambda _: self._free())

    def _free(self) -> None:
        self._taken -= 1
        UPLOADS_RUNNING.dec()


def _add_location(problem: Problem, writer: StreamingUpload, request: Request) -> Problem:
    """Say where the image will be found, if it was stored in spite of the fault."""
    if problem.is_client_error or writer.image_id is None:
        return problem
    problem.headers["Location"] = links_of(request).image(writer.image_id)
    problem.members["id"] = str(writer.image_id)
    return problem
