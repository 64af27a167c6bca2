"""Taking an upload: from the request's bytes to an object in the bucket."""

import asyncio
import uuid
from dataclasses import dataclass

from fastapi import Request
from starlette.requests import ClientDisconnect

from gateway.bodies import read_body
from gateway.forms import MOST_BYTES_BESIDE, open_body
from gateway.links import links_of
from gateway.metrics import UPLOAD_BYTES, UPLOADS, UPLOADS_RUNNING
from gateway.problems import Code, Problem
from gateway.threads import Threads
from gateway.traces import traceparent_from
from gateway.writer import ObjectWriter
from pipeline.crashpoints import crash_at
from pipeline.storage import Storage


@dataclass(frozen=True)
class Stored:
    """An image that is in the bucket."""

    image_id: uuid.UUID
    key: str
    file_name: str | None
    content_type: str
    size: int  # bytes


class Uploads:
    """The places for uploads, of which there are so many and no more."""

    def __init__(
        self, storage: Storage, threads: Threads, *, places: int, max_bytes: int, deadline_seconds: float
    ) -> None:
        self._storage = storage
        self._threads = threads
        self._places = places
        self._max_bytes = max_bytes
        self._deadline_seconds = deadline_seconds
        self._taken = 0
        self._clearing: set[asyncio.Task[None]] = set()

    async def take(self, request: Request) -> Stored:
        """Store the file in the request's body. Raises Problem; ClientDisconnect when nobody waits any more."""
        self._refuse_early(request)
        body = open_body(request.headers)
        writer = self._begin(request)
        try:
            async for data in read_body(request.receive, self._max_bytes + MOST_BYTES_BESIDE):
                for piece in body.feed(data):
                    writer.add(piece)
                await writer.flush(body.file_name)
            body.finish()
            await writer.finish(body.file_name)
            crash_at("after_store")
        except Problem as problem:
            UPLOADS.labels(problem.code.value).inc()
            raise _with_whereabouts(problem, writer, request) from problem
        except ClientDisconnect:
            UPLOADS.labels("gone").inc()
            raise
        finally:
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
        if declared.isdecimal() and int(declared) > self._max_bytes + MOST_BYTES_BESIDE:
            raise Problem(Code.FILE_TOO_LARGE, f"the limit is {self._max_bytes} bytes", max_bytes=self._max_bytes)
        if self._taken >= self._places:
            UPLOADS.labels(Code.TOO_MANY_UPLOADS.value).inc()
            raise Problem(Code.TOO_MANY_UPLOADS)

    def _begin(self, request: Request) -> ObjectWriter:
        self._taken += 1
        UPLOADS_RUNNING.inc()
        return ObjectWriter(
            self._storage,
            self._threads,
            max_bytes=self._max_bytes,
            deadline_seconds=self._deadline_seconds,
            traceparent=traceparent_from(request.headers.get("traceparent")),
        )

    def _end(self, writer: ObjectWriter) -> None:
        """Free the place; where something is still under way, it keeps its place until that has ended."""
        if writer.is_quiet:
            self._free()
            return
        task = asyncio.create_task(writer.leave_nothing())
        self._clearing.add(task)
        task.add_done_callback(self._clearing.discard)
        task.add_done_callback(lambda _: self._free())

    def _free(self) -> None:
        self._taken -= 1
        UPLOADS_RUNNING.dec()


def _with_whereabouts(problem: Problem, writer: ObjectWriter, request: Request) -> Problem:
    """Say where the image will be found, if it was stored in spite of the fault."""
    if problem.is_callers or writer.image_id is None:
        return problem
    problem.headers["Location"] = links_of(request).image(writer.image_id)
    problem.members["id"] = str(writer.image_id)
    return problem
