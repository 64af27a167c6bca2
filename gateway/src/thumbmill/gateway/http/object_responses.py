"""Responses with objects of the store as their bodies: whole, in part, not modified, or headers only."""

from collections.abc import AsyncIterator, Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from thumbmill.core.object_store.errors import PreconditionFailedError
from thumbmill.core.object_store.store import ObjectMetadata, Storage
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.http.byte_ranges import ByteRange, UnsatisfiableRangeError, select_range
from thumbmill.gateway.http.methods import is_head
from thumbmill.gateway.problems import Code, Problem

CHUNK_BYTES = 256 * 1024
YEAR_SECONDS = 31_536_000
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
}

ObjectReader = Generator[ObjectMetadata | bytes, None, None]
Headers = dict[str, str]


@dataclass(frozen=True)
class ObjectResponses:
    """Streams objects through the gateway; docs/decisions/003 gives the reasons."""

    storage: Storage
    executor: BoundedExecutor

    async def head(self, bucket: str, key: str) -> ObjectMetadata:
        """Return an object's metadata. Raise ObjectNotFoundError, DependencyUnavailable, DependencyRejected."""
        return await self.executor.run(self.storage.head, bucket, key)

    async def respond(
        self, request: Request, bucket: str, key: str, describe: Callable[[ObjectMetadata], Headers]
    ) -> Response:
        """Return the response for an object. ``describe`` returns its headers, Content-Type and ETag among them.

        Raise ObjectNotFoundError, Problem, DependencyUnavailable, DependencyRejected. A plain download is one
        request to the store. A condition or a range costs a HEAD before it.
        """
        wanted = None if is_head(request) else request.headers.get("range")
        if not (is_head(request) or wanted or "if-none-match" in request.headers):
            return await self._send_whole(bucket, key, describe)
        metadata = await self.head(bucket, key)
        headers, size = describe(metadata), metadata.object_version.size
        if is_not_modified(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        if is_head(request):
            return Response(headers=_with_length(headers, size))
        part = _select_range(request, wanted, headers["ETag"], size)
        if part is None:
            return await self._send_whole(bucket, key, describe)
        return await self._send_part(bucket, key, metadata, headers, part)

    async def _send_whole(self, bucket: str, key: str, describe: Callable[[ObjectMetadata], Headers]) -> Response:
        opened = await self.executor.run(_open, self.storage, bucket, key)
        try:
            headers = describe(opened.metadata)
        except Problem:
            await self.executor.run(_close, opened.rest)
            raise
        return self._body(opened, _with_length(headers, opened.metadata.object_version.size), 200)

    async def _send_part(
        self, bucket: str, key: str, metadata: ObjectMetadata, headers: Headers, part: ByteRange
    ) -> Response:
        try:
            opened = await self.executor.run(_open, self.storage, bucket, key, metadata.object_version.etag, part)
        except PreconditionFailedError as error:
            raise Problem(Code.NOT_READY, "the object was replaced a moment ago") from error
        size = metadata.object_version.size
        headers = _with_length(headers, part.size) | {"Content-Range": f"bytes {part.first}-{part.last}/{size}"}
        return self._body(opened, headers, 206)

    def _body(self, opened: "_OpenObject", headers: Headers, status: int) -> Response:
        if len(opened.start) == int(headers["Content-Length"]):
            return Response(opened.start, status, headers)
        return StreamingResponse(self._stream(opened.start, opened.rest), status, headers)

    async def _stream(self, start: bytes, rest: ObjectReader) -> AsyncIterator[bytes]:
        try:
            chunk = start
            while chunk:
                yield chunk
                chunk = await self.executor.run(_next_chunk, rest)
        finally:
            await self.executor.submit(_close, rest)


@dataclass(frozen=True)
class _OpenObject:
    """An object and the first of the bytes that were asked for."""

    metadata: ObjectMetadata
    start: bytes
    rest: ObjectReader


def is_not_modified(request: Request, etag: str) -> bool:
    """Return whether If-None-Match has this ETag, by weak comparison (RFC 9110, 13.1.2)."""
    opaque_tag = etag.removeprefix("W/")
    candidates = request.headers.get("if-none-match", "").split(",")
    return any(candidate.strip().removeprefix("W/") in {opaque_tag, "*"} for candidate in candidates)


def _select_range(request: Request, wanted: str | None, etag: str, size: int) -> ByteRange | None:
    if not wanted:
        return None
    try:
        return select_range(wanted, request.headers.get("if-range", ""), etag, size)
    except UnsatisfiableRangeError:
        headers = {"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"}
        raise Problem(Code.RANGE_NOT_SATISFIABLE, f"the file has {size} bytes", headers=headers) from None


def _with_length(headers: Headers, size: int) -> Headers:
    return {**headers, "Accept-Ranges": "bytes", "Content-Length": str(size)}


def _open(
    storage: Storage, bucket: str, key: str, etag: str | None = None, part: ByteRange | None = None
) -> _OpenObject:
    """Open an object and read its first chunk, which is the whole of most thumbnails."""
    reader = _read(storage, bucket, key, etag, part)
    metadata = cast("ObjectMetadata", next(reader))
    start = _next_chunk(reader)
    if len(start) == (part.size if part else metadata.object_version.size):
        reader.close()
    return _OpenObject(metadata, start, reader)


def _read(storage: Storage, bucket: str, key: str, etag: str | None, part: ByteRange | None) -> ObjectReader:
    wanted = (part.first, part.last) if part else None
    with storage.open(bucket, key, etag=etag, byte_range=wanted) as (metadata, stream):
        yield metadata
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def _next_chunk(reader: ObjectReader) -> bytes:
    return cast("bytes", next(reader, b""))


def _close(reader: ObjectReader) -> None:
    with suppress(ValueError):  # another thread still reads; it is closed when it is garbage collected
        reader.close()
