"""Streams one file into the bucket, with little more than one part in memory.

A small file is stored with one PUT after its last byte arrived. A larger one becomes a multipart upload, which is
not an object until it is completed: a client that disconnects early leaves no object.
"""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import structlog

from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, new_image_id, upload_key
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.formats import SIGNATURE_BYTES
from thumbmill.core.object_store.store import Storage
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.http.media_types import sniff
from thumbmill.gateway.metrics import UPLOAD_STORE_SECONDS
from thumbmill.gateway.problems import Code, Problem, dependency_problem
from thumbmill.gateway.uploads.object_metadata import object_metadata

log = structlog.get_logger()

PART_BYTES = 5 * 1024 * 1024  # S3's minimum for every part but the last

P = ParamSpec("P")
T = TypeVar("T")


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
        batch: str | None = None,
    ) -> None:
        self._storage = storage
        self._executor = executor
        self._max_bytes = max_bytes
        self._deadline_seconds = deadline_seconds
        self._traceparent = traceparent
        self._batch = batch
        self._buffer = bytearray()  # not a list of chunks: a client may send single bytes
        self._upload_id = ""
        self._parts: list[Any] = []
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
        """Upload a part once more than PART_BYTES are buffered. The body is not read during the upload."""
        if len(self._buffer) <= PART_BYTES:
            return
        if not self._upload_id:
            self._assign_id()
            await self._call("create", self._create_multipart_upload, self._metadata(file_name))
        await self._call("part", self._upload_part, self._take_buffer())

    async def complete(self, file_name: str | None) -> None:
        """Store the rest of the file, which makes it an object."""
        if self.size == 0:
            raise Problem(Code.EMPTY_FILE)
        if not self.content_type:
            self._detect_content_type()
        if not self._upload_id:
            self._assign_id()
            await self._call("put", self._put, self._take_buffer(), self._metadata(file_name))
            return
        if self._buffer:
            await self._call("part", self._upload_part, self._take_buffer())
        await self._call("complete", self._complete_multipart_upload)

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

    def _assign_id(self) -> None:
        self.image_id = new_image_id()
        self.key = upload_key(self.image_id)
        structlog.contextvars.bind_contextvars(image_id=str(self.image_id))

    def _metadata(self, file_name: str | None) -> dict[str, str]:
        return object_metadata(file_name, self._traceparent, self._batch)

    def _take_buffer(self) -> bytes:
        data = bytes(self._buffer)
        self._buffer.clear()
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

    # --- run in a thread: the results are read after the call has ended ------------------------------------

    def _put(self, data: bytes, metadata: dict[str, str]) -> None:
        self._storage.put(ORIGINALS_BUCKET, self.key, data, self.content_type, metadata)

    def _create_multipart_upload(self, metadata: dict[str, str]) -> None:
        self._upload_id = self._storage.create_multipart_upload(
            ORIGINALS_BUCKET, self.key, self.content_type, metadata
        )

    def _upload_part(self, data: bytes) -> None:
        number = len(self._parts) + 1
        self._parts.append(self._storage.upload_part(ORIGINALS_BUCKET, self.key, self._upload_id, number, data))

    def _complete_multipart_upload(self) -> None:
        self._storage.complete_multipart_upload(ORIGINALS_BUCKET, self.key, self._upload_id, self._parts)
        self._is_completed = True
