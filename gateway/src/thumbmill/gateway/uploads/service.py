"""Uploads: from the bytes of a request to an object in the bucket."""

import asyncio
import random
import uuid
from dataclasses import dataclass

from fastapi import Request
from starlette.requests import ClientDisconnect

from thumbmill.core.contracts.limits import Policy
from thumbmill.core.object_store.store import ObjectMetadata, Storage
from thumbmill.gateway.access.principal import Principal
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.http.body_rate import BodyRateLimits, BodyRateMonitor
from thumbmill.gateway.http.request_body import read_body
from thumbmill.gateway.limits.limiter import RateLimiter, RequestLimits, limits_of
from thumbmill.gateway.limits.places import Places
from thumbmill.gateway.metrics import UPLOAD_BYTES, UPLOADS, UPLOADS_PLACES, UPLOADS_RUNNING
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.tracing import traceparent_of
from thumbmill.gateway.uploads.file_body import MAX_OVERHEAD_BYTES, open_file_body
from thumbmill.gateway.uploads.idempotency import EarlierUploads, IdempotencyKey
from thumbmill.gateway.uploads.streaming_upload import Repetition, StreamingUpload
from thumbmill.gateway.urls import links_of

WINDOW_SECONDS = 5  # in which rejected uploads are counted
MAX_RETRY_AFTER_SECONDS = 30


@dataclass(frozen=True)
class StoredImage:
    """An image that is in the bucket."""

    id: uuid.UUID
    key: str
    file_name: str | None
    content_type: str
    bytes: int
    is_replayed: bool = False  # an earlier request with the same idempotency key has stored it


class RetryAfterJitter:
    """Spreads the retries of rejected uploads over the time in which the gateway can serve about as many.

    With one delay for all, a few hundred clients would return at the same time every second, and rejecting them
    would cost more than the uploads.
    """

    def __init__(self, slots: int) -> None:
        self._slots = slots
        self._window_started = float("-inf")
        self._rejected = self._rejected_before = 0  # in this window and in the previous one

    def next_delay(self, now: float) -> int:
        """Count one more rejected upload and return the seconds after which its client should retry."""
        if now - self._window_started >= WINDOW_SECONDS:
            self._rejected_before = self._rejected if now - self._window_started < 2 * WINDOW_SECONDS else 0
            self._window_started, self._rejected = now, 0
        self._rejected += 1
        longest = max(self._rejected, self._rejected_before) // self._slots
        return random.randint(1, min(MAX_RETRY_AFTER_SECONDS, max(1, longest)))  # noqa: S311 - no secret


class UploadService:
    """Stores uploads in a bounded number of slots, which clients share (``limits/places.py``).

    A slot is free again when the object store has finished with the upload, which may be after the response.
    """

    def __init__(
        self,
        storage: Storage,
        executor: BoundedExecutor,
        *,
        slots: int,
        max_bytes: int,
        deadline_seconds: float,
        limiter: RateLimiter,
        rate_limits: BodyRateLimits,
        earlier: EarlierUploads,
    ) -> None:
        self._storage = storage
        self._executor = executor
        self._places = Places(slots)
        UPLOADS_PLACES.set(slots)
        self._limiter = limiter
        self._max_bytes = max_bytes
        self._deadline_seconds = deadline_seconds
        self._rate_limits = rate_limits
        self._earlier = earlier
        self._retry_after = RetryAfterJitter(slots)
        self._receiving: dict[BodyRateMonitor, Principal] = {}
        self._aborting: set[asyncio.Task[None]] = set()

    async def store(
        self, request: Request, tenant: str, batch: str | None = None, idempotency_key: IdempotencyKey | None = None
    ) -> StoredImage:
        """Store the file in the body for a tenant. Raise Problem, or ClientDisconnect if the client leaves."""
        limits, declared = limits_of(request.scope), _declared_bytes(request)
        self._check_limits(limits, declared)
        body = open_file_body(request.headers)
        self._limiter.charge(limits, Policy.BYTES, declared)
        try:
            upload = self._start(request, limits.client, tenant, batch, idempotency_key)
        except Problem:
            self._limiter.settle(limits, Policy.BYTES, -declared)
            raise
        monitor = BodyRateMonitor(self._rate_limits)
        self._receiving[monitor] = limits.client
        try:
            async for data in read_body(request.receive, self._max_bytes + MAX_OVERHEAD_BYTES, monitor):
                for piece in body.feed(data):
                    upload.write(piece)
                await upload.flush_part(body.file_name)
            self._receiving.pop(monitor, None)
            body.finish()
            await upload.complete(body.file_name)
        except Problem as problem:
            UPLOADS.labels(problem.code.value).inc()
            raise _add_location(problem, upload, request) from problem
        except ClientDisconnect:
            UPLOADS.labels("client_disconnected").inc()
            raise
        finally:
            self._receiving.pop(monitor, None)
            self._limiter.settle(limits, Policy.BYTES, upload.size - declared)
            self._end(upload, limits.client)
        assert upload.image_id is not None  # noqa: S101 - it is stored
        if earlier := upload.earlier:
            UPLOADS.labels("replayed").inc()
            return replayed_image(upload.image_id, upload.key, earlier)
        UPLOADS.labels("stored").inc()
        UPLOAD_BYTES.inc(upload.size)
        return StoredImage(upload.image_id, upload.key, body.file_name, upload.content_type, upload.size)

    async def close(self) -> None:
        """Wait until all unfinished uploads are aborted."""
        if self._aborting:
            await asyncio.wait(self._aborting, timeout=self._deadline_seconds)

    def _check_limits(self, limits: RequestLimits, declared: int) -> None:
        """Raise Problem before the body is read if it is too large or the client has too many uploads."""
        if declared > self._max_bytes + MAX_OVERHEAD_BYTES:
            raise Problem(Code.FILE_TOO_LARGE, f"the limit is {self._max_bytes} bytes", max_bytes=self._max_bytes)
        self._limiter.check_places(limits, Policy.UPLOADS, self._places)

    def _evict_slowest(self, client: Principal) -> bool:
        """Stop the slowest upload and return True, if one is slower than allowed.

        Otherwise a few very slow clients could occupy all slots. The evicted upload ends at once; until then it
        holds at most one part. A client gets no slot of another one that holds fewer than itself.
        """
        held = self._places.held_by(client)
        candidates = (one for one, owner in self._receiving.items() if self._places.held_by(owner) >= held)
        slowest = max(candidates, key=lambda monitor: monitor.shortfall, default=None)
        if slowest is None or slowest.shortfall == 0:
            return False
        del self._receiving[slowest]
        slowest.evict()
        return True

    def _start(
        self, request: Request, client: Principal, tenant: str, batch: str | None, key: IdempotencyKey | None
    ) -> StreamingUpload:
        """Take a slot. Raise Problem if there is none for the client."""
        if not self._places.are_free_for(client) and not self._evict_slowest(client):
            UPLOADS.labels(Code.TOO_MANY_UPLOADS.value).inc()
            delay = self._retry_after.next_delay(asyncio.get_running_loop().time())
            raise Problem(Code.TOO_MANY_UPLOADS, headers={"Retry-After": str(delay)})
        self._places.take(client)
        UPLOADS_RUNNING.inc()
        return StreamingUpload(
            self._storage,
            self._executor,
            max_bytes=self._max_bytes,
            deadline_seconds=self._deadline_seconds,
            traceparent=traceparent_of(request),
            tenant=tenant,
            batch=batch,
            repetition=Repetition(key.image_id, self._earlier) if key else None,
        )

    def _end(self, upload: StreamingUpload, client: Principal) -> None:
        """Free the slot, or abort an unfinished upload in the background and free the slot afterwards."""
        if upload.is_settled:
            self._free_slot(client)
            return
        task = asyncio.create_task(upload.abort())
        self._aborting.add(task)
        task.add_done_callback(self._aborting.discard)
        task.add_done_callback(lambda _: self._free_slot(client))

    def _free_slot(self, client: Principal) -> None:
        self._places.free(client)
        UPLOADS_RUNNING.dec()


def replayed_image(image_id: uuid.UUID, key: str, stored: ObjectMetadata) -> StoredImage:
    """Return the image that an earlier request has stored."""
    size = stored.object_version.size
    return StoredImage(image_id, key, stored.file_name, stored.content_type or "", size, is_replayed=True)


def _declared_bytes(request: Request) -> int:
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isdecimal() else 0


def _add_location(problem: Problem, upload: StreamingUpload, request: Request) -> Problem:
    """Add the URL of the image to a server error, after which the image may still have been stored."""
    if problem.is_client_error or upload.image_id is None:
        return problem
    problem.headers["Location"] = links_of(request).image(upload.image_id)
    problem.members["id"] = str(upload.image_id)
    return problem
