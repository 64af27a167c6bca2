"""Presigned uploads: a signed form that uploads one file directly to MinIO."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import BaseModel

from thumbmill.core.contracts.events import UploadRequested
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, new_image_id, upload_key
from thumbmill.core.contracts.status import Status
from thumbmill.core.object_store.store import Storage
from thumbmill.core.text import sanitize_file_name
from thumbmill.gateway.limits.limiter import RequestLimits
from thumbmill.gateway.uploads.idempotency import IdempotencyKey
from thumbmill.gateway.uploads.tickets import FileDescription, Tickets


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
    """Signs forms with a key that has no other rights."""

    signer: Storage
    tickets: Tickets
    form_url: str
    lifetime: timedelta
    max_bytes: int

    async def create(
        self,
        file: FileDescription,
        size: int | None,
        traceparent: str,
        limits: RequestLimits,
        idempotency_key: IdempotencyKey | None = None,
    ) -> PresignedUpload:
        """Create a presigned upload, of at most this size if it is known, or renew the one with this key.

        Raise Problem, DependencyUnavailable.
        """
        tenant, max_bytes = limits.client.tenant, size or self.max_bytes
        image_id = idempotency_key.image_id if idempotency_key else new_image_id(tenant)
        with self.tickets.admit(file, size, limits) as admitted:
            return await self._issue(image_id, tenant, admitted, max_bytes, traceparent)

    async def _issue(
        self, image_id: uuid.UUID, tenant: str, file: FileDescription, max_bytes: int, traceparent: str
    ) -> PresignedUpload:
        key = upload_key(image_id, tenant)
        fields = self.signer.presign_post(ORIGINALS_BUCKET, key, file.content_type, max_bytes, self.lifetime)
        expires_at = datetime.now(UTC) + self.lifetime
        requested = UploadRequested(
            key=key,
            file_name=sanitize_file_name(file.file_name or ""),
            content_type=file.content_type,
            expires_at=expires_at,
            batch=file.batch,
        )
        await self.tickets.announce(requested, traceparent)
        form = Form(url=f"{self.form_url}/{ORIGINALS_BUCKET}", fields=fields)
        return PresignedUpload(id=image_id, key=key, form=form, expires_at=expires_at, max_bytes=max_bytes)
