"""Tickets: permissions to upload one file directly to the object store. Their limits, and their announcement."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, Field

from thumbmill.core.contracts.batch import BATCH_PATTERN
from thumbmill.core.contracts.cloud_event import to_cloud_event
from thumbmill.core.contracts.events import UploadExpired, UploadRequested
from thumbmill.core.contracts.limits import Policy
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.http.media_types import SUPPORTED, normalize_content_type
from thumbmill.gateway.limits.limiter import RateLimiter, RequestLimits
from thumbmill.gateway.metrics import PRESIGNED_UPLOADS
from thumbmill.gateway.problems import Code, Problem

KEEP_ALIVE_SECONDS = 5
PUBLISH_SECONDS = 10  # a broker with a resource alarm accepts a publish and does not confirm it

BatchLabel = Annotated[str, Field(pattern=BATCH_PATTERN)]


class FileDescription(BaseModel):
    """The file that a client is going to upload."""

    content_type: str = Field(
        description="Content type of the file; only the types of supported formats are accepted",
        examples=["image/jpeg"],
    )
    file_name: str | None = Field(None, max_length=1000, examples=["cat.jpg"])
    batch: BatchLabel | None = Field(
        None, description="Label of uploads that belong together", examples=["album-7"]
    )


@dataclass(frozen=True)
class Tickets:
    """Checks what a ticket is requested for, and announces each to the tracker before it is returned."""

    publisher: Publisher
    publisher_executor: BoundedExecutor
    limiter: RateLimiter
    max_bytes: int  # of a file

    @contextmanager
    def admit(self, file: FileDescription, size: int | None, limits: RequestLimits) -> Iterator[FileDescription]:
        """Charge the client, and yield the file with its canonical content type. Refund bytes without a ticket.

        A ticket without a size costs the bytes that it allows. Raise Problem if the type is not supported, the file
        is too large, or the client exceeds a limit.
        """
        normalized = normalize_content_type(file.content_type)
        if normalized not in SUPPORTED:
            raise Problem(Code.UNSUPPORTED_FORMAT, f"content_type: must be one of {', '.join(SUPPORTED)}")
        if size is not None and size > self.max_bytes:
            raise Problem(Code.FILE_TOO_LARGE, f"the limit is {self.max_bytes} bytes", max_bytes=self.max_bytes)
        self.limiter.charge(limits, Policy.TICKETS)
        cost = size or self.max_bytes
        self.limiter.charge(limits, Policy.BYTES, cost)
        try:
            yield file.model_copy(update={"content_type": normalized})
        except BaseException:  # the client may have left
            self.limiter.settle(limits, Policy.BYTES, -cost)
            raise

    async def announce(self, requested: UploadRequested, traceparent: str) -> None:
        """Publish a ticket, with a publisher confirm. Raise DependencyUnavailable."""
        await self._publish(requested, traceparent)
        PRESIGNED_UPLOADS.inc()

    async def withdraw(self, expired: UploadExpired, traceparent: str) -> None:
        """Publish that a ticket will not be used, with a publisher confirm. Raise DependencyUnavailable."""
        await self._publish(expired, traceparent)

    async def _publish(self, event: UploadRequested | UploadExpired, traceparent: str) -> None:
        envelope = to_cloud_event(event, by="gateway", traceparent=traceparent)
        await self.publisher_executor.run(self.publisher.publish_event, envelope)

    async def keep_alive(self) -> None:
        """Answer the broker's heartbeats until the task is cancelled."""
        while True:
            await asyncio.sleep(KEEP_ALIVE_SECONDS)
            try:
                await self.publisher_executor.run(self.publisher.keep_alive)
            except DependencyUnavailable:
                continue  # the next request for a ticket reports it
