"""Streams one file into the bucket, with little more than one part in memory.

A small file is stored with one PUT after its last byte arrived. A larger one becomes a multipart upload, which is
not an object until it is completed: a client that disconnects early leaves no object.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

import structlog

from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, new_image_id, upload_key
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.formats import SIGNATURE_BYTES
from thumbmill.core.object_store.errors import PreconditionFailedError
from thumbmill.core.object_store.listing import StoredPart
from thumbmill.core.object_store.store import ObjectMetadata, Storage
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.http.media_types import sniff
from thumbmill.gateway.metrics import UPLOAD_STORE_SECONDS
from thumbmill.gateway.problems import Code, Problem, dependency_problem
from thumbmill.gateway.uploads.idempotency import ContentDigests, EarlierUploads
from thumbmill.gateway.uploads.object_metadata import object_metadata

log = structlog.get_logger()

# S3's minimum for every part but the last. Each has exactly this size, so that the same bytes have the same ETag.
PART_BYTES = 5 * 1024 * 1024

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Repetition:
    """What makes an upload repeatable: its id is given, and an object that is there already is not overwritten."""

    image_id: uuid.UUID
    earlier: EarlierUploads
    digests: ContentDigests = field(default_factory=ContentDigests)
    stored: ObjectMetadata | None = None  # what an earlier request has stored


class StreamingUpload:
    """Stores an upload as its bytes arrive. Each Problem that it raises is the response to the client."""

    def __init__(
        self,
        storage: Storage,
        executor: BoundedExecutor,
        *,
        max_bytes: int,
        deadline_seconds: float,
        traceparent: str,
        tenant: str,
        batch: str | None = None,
        repetition: Repetition | None = None,
    ) -> None:
        self._storage = storage
        self._executor = executor
        self._max_bytes = max_bytes
        self._deadline_seconds = deadline_seconds
        self._traceparent = traceparent
        self._tenant = tenant
        self._batch = batch
        self._repetition = repetition
        self._buffer = bytearray()  # not a list of chunks: a client may send single bytes
        self._upload_id = ""
        self._parts: list[StoredPart] = []
        self._request: asyncio.Future[Any] | None = None  # the latest request to the object store
        self._is_completed = False
        self.size = 0
        self.content_type = ""
        # Assigned when the first bytes are sent, so that the time in the id is that of the object.
        self.image_id: uuid.UUID | None = None
        self.key = ""

    def write(self, piece: memoryview) -> None:
        """Buffer a piece of the file. Raise Problem if the file is too large or not a supported image."""
        self.size += len(piece)
        if self.size > self._max_bytes:
            raise Problem(Code.FILE_TOO_LARGE, f"the limit is {self._max_bytes} bytes", max_bytes=self._max_bytes)
        self._buffer += piece
        if not self.content_type and self.size >= SIGNATURE_BYTES:
            self._detect_content_type()

    async def flush_part(self, file_name: str | None) -> None:
        """Upload each part once more than PART_BYTES are buffered. The body is not read during the upload."""
        while len(self._buffer) > PART_BYTES:
            if self.image_id is None:
                await self._assign_id()
                await self._call("create", self._create_multipart_upload, self._metadata(file_name))
            await self._call("part", self._upload_part, self._take_part())

    async def complete(self, file_name: str | None) -> None:
        """Store the rest of the file, which makes it an object, unless the same file was stored before."""
        if self.size == 0:
            raise Problem(Code.EMPTY_FILE)
        if not self.content_type:
            self._detect_content_type()
        if self.image_id is None:
            await self._assign_id()
            await self._call("put", self._put, self._take_part(), self._metadata(file_name))
        else:
            await self._call("part", self._upload_part, self._take_part())
            await self._find_earlier()  # it may have been stored, and even deleted, while the parts were sent
            await self._call("complete", self._complete_multipart_upload)
        if self._repetition and (stored := self._repetition.stored):
            content = self._repetition.digests.content()
            await self._repetition.earlier.check_same(self._repetition.image_id, self._tenant, stored, content)

    @property
    def earlier(self) -> ObjectMetadata | None:
        """The object that an earlier request has stored, if there is one; then this one stores none."""
        return self._repetition.stored if self._repetition else None

    @property
    def is_settled(self) -> bool:
        """Whether no request is running and the object store has no unfinished multipart upload."""
        return (self._request is None or self._request.done()) and (self._is_completed or not self._upload_id)

    async def abort(self) -> None:
        """Wait for the running request, then drop the parts of an unfinished multipart upload."""
        if self._request is not None:
            await asyncio.wait({self._request})
            self._request.exception()  # mark it as retrieved: the client already has its response
        if self._is_completed or not self._upload_id:
            return
        try:
            await self._executor.submit(
                self._storage.abort_multipart_upload, ORIGINALS_BUCKET, self.key, self._upload_id
            )
        except DependencyUnavailable as error:  # MinIO drops unfinished uploads after a day
            log.warning("abort_multipart_upload_failed", key=self.key, error=str(error))

    def _detect_content_type(self) -> None:
        content_type = sniff(bytes(self._buffer[:SIGNATURE_BYTES]))
        if content_type is None:
            raise Problem(Code.UNSUPPORTED_FORMAT)
        self.content_type = content_type

    async def _assign_id(self) -> None:
        self.image_id = self._repetition.image_id if self._repetition else new_image_id(self._tenant)
        self.key = upload_key(self.image_id, self._tenant)
        structlog.contextvars.bind_contextvars(image_id=str(self.image_id))
        await self._find_earlier()

    async def _find_earlier(self) -> None:
        """Look for an earlier upload, just before this one stores anything. Raise Problem if it was deleted."""
        if self._repetition and not self._repetition.stored:
            earlier = self._repetition.earlier.find(self._repetition.image_id, self.key)
            self._repetition.stored = await _answer(earlier)

    def _metadata(self, file_name: str | None) -> dict[str, str]:
        return object_metadata(file_name, self._traceparent, self._batch)

    def _take_part(self) -> bytes:
        data = bytes(self._buffer[:PART_BYTES])
        del self._buffer[:PART_BYTES]
        return data

    async def _call(self, request: str, call: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        with UPLOAD_STORE_SECONDS.labels(request).time():
            self._request = self._executor.submit(call, *args, **kwargs)
            done, _ = await asyncio.wait({self._request}, timeout=self._deadline_seconds)
        if not done:
            raise Problem(Code.STORAGE_TIMEOUT, f"no answer in {self._deadline_seconds:g} s")
        try:
            self._request.result()
        except DependencyUnavailable as error:
            raise dependency_problem(error) from error
        except PreconditionFailedError:  # an upload with the same idempotency key was faster
            if self._repetition is None:
                raise
            self._repetition.stored = await _answer(self._repetition.earlier.head(self.key))

    # --- run in a thread: the results are read after the call has ended ------------------------------------

    def _put(self, data: bytes, metadata: dict[str, str]) -> None:
        if self.earlier:
            self._add_digests(data)
            return
        condition = self._repetition is not None
        try:
            self._storage.put(ORIGINALS_BUCKET, self.key, data, self.content_type, metadata, if_absent=condition)
        except PreconditionFailedError:
            self._add_digests(data)  # only now: most uploads are not compared
            raise

    def _create_multipart_upload(self, metadata: dict[str, str]) -> None:
        if not self.earlier:
            condition = self._repetition is not None
            self._upload_id = self._storage.create_multipart_upload(
                ORIGINALS_BUCKET, self.key, self.content_type, metadata, if_absent=condition
            )

    def _upload_part(self, data: bytes) -> None:
        self._add_digests(data)
        if not self.earlier:
            number = len(self._parts) + 1
            part = self._storage.upload_part(ORIGINALS_BUCKET, self.key, self._upload_id, number, data)
            self._parts.append(part)

    def _complete_multipart_upload(self) -> None:
        if not self.earlier:
            condition = self._repetition is not None
            self._storage.complete_multipart_upload(
                ORIGINALS_BUCKET, self.key, self._upload_id, self._parts, if_absent=condition
            )
            self._is_completed = True

    def _add_digests(self, data: bytes) -> None:
        if self._repetition:
            self._repetition.digests.add(data)


async def _answer(request: Awaitable[T]) -> T:
    """Await a request to a dependency. Raise Problem."""
    try:
        return await request
    except DependencyUnavailable as error:
        raise dependency_problem(error) from error
