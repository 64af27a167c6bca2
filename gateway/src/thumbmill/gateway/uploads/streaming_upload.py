"""One object on its way into the bucket: hardly more than one part of it is in memory.

A small file is one PUT once its last byte is here; a larger one becomes a multipart upload, which is no object
until it is finished. So a client that goes away early leaves nothing.
"""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar
from urllib.parse import quote

import structlog

from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, new_image_id, upload_key
from thumbmill.core.contracts.storage_events import FILE_NAME_METADATA, TRACEPARENT_METADATA
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.formats import SIGNATURE_BYTES
from thumbmill.core.object_store.store import Storage
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.http.media_types import sniff
from thumbmill.gateway.metrics import STORE_SECONDS
from thumbmill.gateway.problems import Code, Problem, unavailable

log = structlog.get_logger()

PART_BYTES = 5 * 1024 * 1024  # the least that S3 takes for a part other than the last
_NAME_BYTES = 1200  # S3 takes 2 KiB of metadata in all, and a name triples when it is percent-encoded

P = ParamSpec("P")
T = TypeVar("T")


class StreamingUpload:
    """Takes an upload's bytes as they come; what it raises as Problem is the answer to the client."""

    def __init__(
        self,
        storage: Storage,
        executor: BoundedExecutor,
        *,
        max_bytes: int,
        deadline_seconds: float,
        traceparent: str,
    ) -> None:
        self._storage = storage
        self._executor = executor
        self._max_bytes = max_bytes
        self._deadline_seconds = deadline_seconds
        self._traceparent = traceparent
        self._held = bytearray()  # no list of pieces: a client may send them byte by byte
        self._upload = ""
        self._parts: list[Any] = []
        self._sending: asyncio.Future[Any] | None = None
        self._is_object = False
        self.size = 0
        self.content_type = ""
        self.image_id: uuid.UUID | None = (
            None  # given when the first bytes are sent: its time is that of the object
        )
        self.key = ""

    def add(self, piece: memoryview) -> None:
        """Keep a piece. Raises Problem for a file that is too large or no picture."""
        self.size += len(piece)
        if self.size > self._max_bytes:
            raise Problem(Code.FILE_TOO_LARGE, f"the limit is {self._max_bytes} bytes", max_bytes=self._max_bytes)
        self._held += piece
        if not self.content_type and self.size >= SIGNATURE_BYTES:
            self._recognise()

    async def flush(self, file_name: str | None) -> None:
        """Send what has come together if it is a part and not the last; nothing is read meanwhile."""
        if len(self._held) <= PART_BYTES:
            return
        if not self._upload:
            self._name()
            await self._call("start", self._start_parts, self._metadata(file_name))
        await self._call("part", self._put_part, self._take())

    async def finish(self, file_name: str | None) -> None:
        """Make an object of what came."""
        if self.size == 0:
            raise Problem(Code.EMPTY_FILE)
        if not self.content_type:
            self._recognise()
        if not self._upload:
            self._name()
            await self._call("put", self._put, self._take(), self._metadata(file_name))
            return
        if self._held:
            await self._call("part", self._put_part, self._take())
        await self._call("finish", self._finish_parts)

    @property
    def is_settled(self) -> bool:
        """Tell whether nothing is under way and nothing half done is in the store."""
        return (self._sending is None or self._sending.done()) and (self._is_object or not self._upload)

    async def abort(self) -> None:
        """Wait for what is under way, then drop the parts of an upload that became no object."""
        if self._sending is not None:
            await asyncio.wait({self._sending})
            self._sending.exception()  # whoever waited for it has been answered
        if self._is_object or not self._upload:
            return
        try:
            await self._executor.start(
                self._storage.abort_multipart_upload, ORIGINALS_BUCKET, self.key, self._upload
            )
        except DependencyUnavailable as error:  # MinIO drops them by itself, after a day
            log.warning("parts_left_behind", key=self.key, error=str(error))

    def _recognise(self) -> None:
        found = sniff(bytes(self._held[:SIGNATURE_BYTES]))
        if found is None:
            raise Problem(Code.UNSUPPORTED_FORMAT)
        self.content_type = found

    def _name(self) -> None:
        self.image_id = new_image_id()
        self.key = upload_key(self.image_id)
        structlog.contextvars.bind_contextvars(image_id=str(self.image_id))

    def _metadata(self, file_name: str | None) -> dict[str, str]:
        named = {FILE_NAME_METADATA: encode_name(file_name)} if file_name else {}
        return {TRACEPARENT_METADATA: self._traceparent, **named}

    def _take(self) -> bytes:
        data = bytes(self._held)
        self._held.clear()
        return data

    async def _call(self, step: str, call: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        with STORE_SECONDS.labels(step).time():
            self._sending = self._executor.start(call, *args, **kwargs)
            done, _ = await asyncio.wait({self._sending}, timeout=self._deadline_seconds)
        if not done:
            raise Problem(Code.STORAGE_TIMEOUT, f"no answer in {self._deadline_seconds:g} s")
        try:
            self._sending.result()
        except DependencyUnavailable as error:
            raise unavailable(error) from error

    # --- in a thread: what they note is read once they have ended ------------------------------------------

    def _put(self, data: bytes, metadata: dict[str, str]) -> None:
        self._storage.put(ORIGINALS_BUCKET, self.key, data, self.content_type, metadata)

    def _start_parts(self, metadata: dict[str, str]) -> None:
        self._upload = self._storage.create_multipart_upload(
            ORIGINALS_BUCKET, self.key, self.content_type, metadata
        )

    def _put_part(self, data: bytes) -> None:
        number = len(self._parts) + 1
        self._parts.append(self._storage.upload_part(ORIGINALS_BUCKET, self.key, self._upload, number, data))

    def _finish_parts(self) -> None:
        self._storage.complete_multipart_upload(ORIGINALS_BUCKET, self.key, self._upload, self._parts)
        self._is_object = True


def encode_name(file_name: str) -> str:
    """Write a file name in the ASCII that metadata can carry, cut to what fits."""
    while len(quoted := quote(file_name, safe="", errors="replace")) > _NAME_BYTES:
        file_name = file_name[:-1]
    return quoted
