"""Resumable uploads: a multipart upload whose parts a client sends directly to MinIO by presigned URLs.

Nothing about an upload is stored here: its id carries it (``upload_tokens.py``), and the object store has its
parts. Nothing is an object, and no event is sent, until the upload is completed.
"""

import uuid
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from thumbmill.core.contracts.events import UploadExpired, UploadRequested
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, is_idempotent, new_image_id, upload_key
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.object_store.errors import (
    InvalidKeyError,
    ObjectNotFoundError,
    PreconditionFailedError,
    UploadNotFoundError,
)
from thumbmill.core.object_store.listing import StoredPart
from thumbmill.core.object_store.part_signer import PartSigner
from thumbmill.core.object_store.store import Storage
from thumbmill.core.text import sanitize_file_name
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.limits.limiter import RequestLimits
from thumbmill.gateway.metrics import UPLOAD_BYTES, UPLOADS
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.uploads.idempotency import Content, EarlierUploads, IdempotencyKey, possible_etags
from thumbmill.gateway.uploads.object_metadata import object_metadata
from thumbmill.gateway.uploads.part_sizes import bytes_of_part, find_invalid_parts, part_count
from thumbmill.gateway.uploads.service import StoredImage, replayed_image
from thumbmill.gateway.uploads.tickets import FileDescription, Tickets
from thumbmill.gateway.uploads.upload_tokens import UploadToken, UploadTokens

log = structlog.get_logger()

LIFETIME = timedelta(hours=24)  # MinIO drops unfinished uploads after a day
URL_LIFETIME = timedelta(hours=1)
MAX_NUMBERS = 100  # of parts in one request


@dataclass(frozen=True)
class StartedUpload:
    """A multipart upload that was announced to the tracker."""

    id: uuid.UUID
    key: str
    upload_id: str  # for clients
    token: UploadToken


@dataclass(frozen=True)
class PartUploads:
    """Starts, continues, completes and aborts multipart uploads of clients."""

    storage: Storage
    executor: BoundedExecutor
    signer: PartSigner
    tickets: Tickets
    tokens: UploadTokens
    max_bytes: int
    earlier: EarlierUploads

    async def start(
        self,
        file: FileDescription,
        size: int | None,
        traceparent: str,
        limits: RequestLimits,
        idempotency_key: IdempotencyKey | None = None,
    ) -> StartedUpload:
        """Start an upload of a file of this size, or of a size that is not known. Raise Problem."""
        tenant = limits.client.tenant
        image_id = idempotency_key.image_id if idempotency_key else new_image_id(tenant)
        with self.tickets.admit(file, size, limits) as admitted:
            return await self._start(image_id, tenant, admitted, size, traceparent)

    async def _start(
        self, image_id: uuid.UUID, tenant: str, file: FileDescription, size: int | None, traceparent: str
    ) -> StartedUpload:
        key = upload_key(image_id, tenant)
        file_name = sanitize_file_name(file.file_name or "")
        metadata = object_metadata(file_name, traceparent, file.batch)
        expires_at = datetime.now(UTC).replace(microsecond=0) + LIFETIME
        upload = await self.executor.run(
            self.storage.create_multipart_upload, ORIGINALS_BUCKET, key, file.content_type, metadata
        )
        token = UploadToken(image_id, upload, size, expires_at, tenant)
        requested = UploadRequested(
            key=key, file_name=file_name, content_type=file.content_type, expires_at=expires_at, batch=file.batch
        )
        try:
            await self.tickets.announce(requested, traceparent)
        except DependencyUnavailable:
            with suppress(DependencyUnavailable):
                await self._drop_parts(token)
            raise
        return StartedUpload(image_id, key, self.tokens.encode(token), token)

    def find(self, image_id: uuid.UUID, tenant: str, upload_id: str) -> UploadToken:
        """Return the upload of a tenant's image. Raise Problem if the id does not belong to it."""
        token = self.tokens.decode(upload_id, tenant)
        if token.image_id != image_id:
            raise Problem(Code.UPLOAD_NOT_FOUND)
        structlog.contextvars.bind_contextvars(image_id=str(image_id))
        return token

    def sign(self, token: UploadToken, numbers: Iterable[int]) -> dict[int, tuple[str, int | None]]:
        """Return the URL and the exact size of each part; the size is None if that of the file is not known."""
        lifetime = min(_remaining(token), URL_LIFETIME)
        key = token.key
        last = part_count(token.size or self.max_bytes)
        signed: dict[int, tuple[str, int | None]] = {}
        for number in numbers:
            if not 1 <= number <= last:
                raise Problem(Code.INVALID_REQUEST, f"part {number}: the file has the parts 1 to {last}")
            size = bytes_of_part(number, token.size) if token.size else None
            url = self.signer.sign(ORIGINALS_BUCKET, key, token.upload, number, size, lifetime)
            signed[number] = url, size
        return signed

    async def list_parts(self, token: UploadToken) -> list[StoredPart]:
        """Return the parts that the object store has. Raise Problem, DependencyUnavailable."""
        _remaining(token)
        try:
            return await self._list_parts(token)
        except UploadNotFoundError as error:
            raise Problem(Code.UPLOAD_NOT_FOUND) from error

    async def complete(self, token: UploadToken, etags: Mapping[int, str] | None, traceparent: str) -> StoredImage:
        """Join the parts into an object, unless they were joined before. Return the image.

        ``etags`` are the parts that the client lists, if it does. Raise Problem, DependencyUnavailable.
        """
        key = token.key
        is_new = not _has_expired(token) and await self._join(token, etags, traceparent)
        try:
            stored = await self.executor.run(self.storage.head, ORIGINALS_BUCKET, key)
        except ObjectNotFoundError as error:
            raise Problem(Code.UPLOAD_EXPIRED if _has_expired(token) else Code.UPLOAD_NOT_FOUND) from error
        if not is_new:
            return replayed_image(token.image_id, key, stored)
        UPLOADS.labels("stored").inc()
        UPLOAD_BYTES.inc(stored.object_version.size)
        size = stored.object_version.size
        return StoredImage(token.image_id, key, stored.file_name, stored.content_type or "", size)

    async def abort(self, token: UploadToken, traceparent: str) -> None:
        """Drop the parts and have the ticket expire, unless it is completed. Raise DependencyUnavailable."""
        await self._drop_parts(token)
        key = token.key
        with suppress(ObjectNotFoundError):
            await self.executor.run(self.storage.head, ORIGINALS_BUCKET, key)
            return
        await self.tickets.withdraw(UploadExpired(key=key, expires_at=token.expires_at), traceparent)

    async def _drop_parts(self, token: UploadToken) -> None:
        with suppress(UploadNotFoundError):
            await self.executor.run(self.storage.abort_multipart_upload, ORIGINALS_BUCKET, token.key, token.upload)

    async def _list_parts(self, token: UploadToken) -> list[StoredPart]:
        return await self.executor.run(self.storage.list_parts, ORIGINALS_BUCKET, token.key, token.upload)

    async def _join(self, token: UploadToken, etags: Mapping[int, str] | None, traceparent: str) -> bool:
        """Join the parts. Return False if the object store does not know the upload.

        MinIO forgets an upload once it is completed, so a repetition looks like an unknown one.
        """
        try:
            parts = await self._list_parts(token)
            if sum(part.size for part in parts) > self.max_bytes:  # possible only if no size was declared
                await self.abort(token, traceparent)
                raise self._too_large()
            if token.size is None and etags:
                parts = [part for part in parts if part.number in etags]
            if invalid := find_invalid_parts(parts, token.size, etags):
                raise _invalid_parts(invalid)
            return await self._join_once(token, parts)
        except UploadNotFoundError:
            return False
        except InvalidKeyError as error:  # a part was replaced meanwhile, or one of an unknown size is too small
            raise Problem(Code.INVALID_PARTS, str(error)) from error

    async def _join_once(self, token: UploadToken, parts: list[StoredPart]) -> bool:
        """Join the parts. Return False if another upload with the same idempotency key has stored the same file."""
        key, image_id = token.key, token.image_id
        stored = await self.earlier.find(image_id, key) if is_idempotent(image_id) else None
        if stored is None:
            try:
                await self.executor.run(
                    self.storage.complete_multipart_upload,
                    ORIGINALS_BUCKET,
                    key,
                    token.upload,
                    parts,
                    if_absent=is_idempotent(image_id),
                )
            except PreconditionFailedError:
                stored = await self.earlier.head(key)
            else:
                return True
        content = Content(sum(part.size for part in parts), possible_etags([part.etag for part in parts]))
        await self.earlier.check_same(image_id, token.tenant, stored, content)
        await self._drop_parts(token)
        return False

    def _too_large(self) -> Problem:
        return Problem(Code.FILE_TOO_LARGE, f"the limit is {self.max_bytes} bytes", max_bytes=self.max_bytes)


def _invalid_parts(numbers: list[int]) -> Problem:
    listed = ", ".join(str(number) for number in numbers[:20])
    detail = f"missing, or other than they were sent: {listed}"
    return Problem(Code.INVALID_PARTS, detail, numbers=numbers[:MAX_NUMBERS])


def _has_expired(token: UploadToken) -> bool:
    return datetime.now(UTC) >= token.expires_at


def _remaining(token: UploadToken) -> timedelta:
    """Return how long the ticket is valid. Raise Problem if it has expired."""
    if _has_expired(token):
        raise Problem(Code.UPLOAD_EXPIRED)
    return max(token.expires_at - datetime.now(UTC), timedelta(seconds=1))
