"""Presigned uploads, called tickets in the API: a signed form that uploads one file directly to MinIO."""

import asyncio
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import ceil

from pydantic import BaseModel, Field

from thumbmill.core.contracts.cloud_event import to_cloud_event
from thumbmill.core.contracts.events import UploadRequested
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, new_image_id, upload_key
from thumbmill.core.contracts.status import Status
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.object_store.store import Storage
from thumbmill.core.text import sanitize_file_name
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.http.media_types import SUPPORTED, normalize_content_type
from thumbmill.gateway.http.rate_limiter import RateLimiter
from thumbmill.gateway.metrics import PRESIGNED_UPLOADS
from thumbmill.gateway.problems import Code, Problem

KEEP_ALIVE_SECONDS = 5
PUBLISH_SECONDS = 10  # a broker with a resource alarm accepts a publish and does not confirm it


class PresignedUploadRequest(BaseModel):
    """The file that a client is going to upload."""

    content_type: str = Field(
        description="Content type of the file; the form contains its canonical name and accepts no other",
        examples=["image/jpeg"],
    )
    file_name: str | None = Field(None, max_length=1000, examples=["cat.jpg"])


class Form(BaseModel):
    """A multipart form. Send all fields unchanged, then the file as the last field, named `file`."""

    url: str
    method: str = "POST"
    fields: dict[str, str]


class PresignedUpload(BaseModel):
    """A ticket: permission to upload one file."""

    id: uuid.UUID
    status: Status = Status.AWAITING_UPLOAD
    key: str
    form: Form
    expires_at: datetime
    max_bytes: int


@dataclass(frozen=True)
class PresignedUploads:
    """Signs forms with a key that has no other rights, and announces each to the tracker before returning it."""

    signer: Storage
    publisher: Publisher
    publisher_executor: BoundedExecutor
    form_url: str
    lifetime: timedelta
    max_bytes: int
    rate_limiter: RateLimiter

    async def create(self, wanted: PresignedUploadRequest, traceparent: str, client: str) -> PresignedUpload:
        """Create a presigned upload. Raise Problem, DependencyUnavailable."""
        content_type = normalize_content_type(wanted.content_type)
        if content_type not in SUPPORTED:
            raise Problem(Code.UNSUPPORTED_FORMAT, f"content_type: must be one of {', '.join(SUPPORTED)}")
        if wait := self.rate_limiter.acquire(client):
            headers = {"Retry-After": str(ceil(wait))}
            raise Problem(Code.TOO_MANY_TICKETS, f"try again in {ceil(wait)} s", headers=headers)
        image_id = new_image_id()
        key = upload_key(image_id)
        fields = self.signer.presign_post(ORIGINALS_BUCKET, key, content_type, self.max_bytes, self.lifetime)
        expires_at = datetime.now(UTC) + self.lifetime
        requested = UploadRequested(
            key=key,
            file_name=sanitize_file_name(wanted.file_name or ""),
            content_type=content_type,
            expires_at=expires_at,
        )
        await self.publisher_executor.run(
            self.publisher.publish_event, to_cloud_event(requested, by="gateway", traceparent=traceparent)
        )
        PRESIGNED_UPLOADS.inc()
        form = Form(url=f"{self.form_url}/{ORIGINALS_BUCKET}", fields=fields)
        return PresignedUpload(id=image_id, key=key, form=form, expires_at=expires_at, max_bytes=self.max_bytes)

    async def keep_alive(self) -> None:
        """Answer the broker's heartbeats until the task is cancelled."""
        while True:
            await asyncio.sleep(KEEP_ALIVE_SECONDS)
            try:
                await self.publisher_executor.run(self.publisher.keep_alive)
            except DependencyUnavailable:
                continue  # the next request for a ticket reports it
