"""Downloads: originals as attachments that no browser executes, variants with caching."""

import uuid
from collections.abc import AsyncIterator, Generator
from contextlib import suppress
from dataclasses import dataclass
from typing import cast
from urllib.parse import quote

from fastapi import Request
from starlette.responses import Response, StreamingResponse

from thumbmill.core.contracts.events import Variant
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, VARIANTS_BUCKET
from thumbmill.core.contracts.status import Status
from thumbmill.core.object_store.errors import ObjectNotFoundError
from thumbmill.core.object_store.store import ObjectMetadata, Storage
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.http.media_types import EXTENSIONS
from thumbmill.gateway.http.methods import is_head
from thumbmill.gateway.images.lookup import Lookup
from thumbmill.gateway.images.presenter import ORIGINAL, content_id, content_type_of, variants_of
from thumbmill.gateway.images.repository import ImageRow
from thumbmill.gateway.images.states import TERMINAL, WITHOUT_OBJECT
from thumbmill.gateway.images.tracker_client import TrackerClient
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.tracing import traceparent_of

CHUNK_BYTES = 256 * 1024
_YEAR_SECONDS = 31_536_000
_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
}

ObjectReader = Generator[ObjectMetadata | bytes, None, None]


@dataclass(frozen=True)
class ImageDelivery:
    """Streams objects from the bucket through the gateway; docs/decisions/003 gives the reasons."""

    lookup: Lookup
    storage: Storage
    executor: BoundedExecutor
    tracker: TrackerClient
    is_public: bool  # shared caches may store responses that need no key

    async def respond(
        self, request: Request, image_id: uuid.UUID, type_: str, requested_content: str | None
    ) -> Response:
        """Return the bytes of a variant, or a 304. Raise Problem.

        ``requested_content`` is the content id in the URL, if there is one.
        """
        row = await self.lookup.find(image_id)
        try:
            return await self._respond(request, row, type_, requested_content)
        except ObjectNotFoundError:
            row = await self.lookup.find(image_id)  # the variant may have been replaced in the meantime
        try:
            return await self._respond(request, row, type_, requested_content)
        except ObjectNotFoundError as error:
            raise await self._diagnose(row, type_, traceparent_of(request)) from error

    async def _diagnose(self, row: ImageRow, type_: str, traceparent: str) -> Problem:
        """Return the reason why an object that the row lists does not exist, and report it to the tracker."""
        try:
            original = await self.executor.run(self.storage.head, ORIGINALS_BUCKET, row.key)
        except ObjectNotFoundError:
            self.tracker.report_missing(row, [], traceparent)
            return Problem(Code.GONE)  # the bucket is the source of truth
        if type_ == ORIGINAL or str(original.object_version) != row.object_version:
            return Problem(Code.NOT_READY, "the object was replaced a moment ago")
        self.tracker.report_missing(row, [_select_variant(row, type_).key], traceparent)
        return Problem(Code.VARIANT_LOST)

    async def _respond(
        self, request: Request, row: ImageRow, type_: str, requested_content: str | None
    ) -> Response:
        """Raise ObjectNotFoundError if the bucket lacks what the row lists."""
        if row.status == Status.DELETED:
            raise Problem(Code.GONE)
        if type_ == ORIGINAL:
            return await self._respond_with_original(request, row)
        variant = _select_variant(row, type_)
        content = content_id(variant)
        headers = self._headers(content, is_immutable=requested_content == content)
        if is_not_modified(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        opened = await self._open(request, VARIANTS_BUCKET, variant.key)
        return self._body_response(opened, variant.content_type, headers)

    async def _respond_with_original(self, request: Request, row: ImageRow) -> Response:
        if row.status in WITHOUT_OBJECT:
            raise Problem(Code.NOT_READY)
        opened = await self._open(request, ORIGINALS_BUCKET, row.key)
        headers = self._headers(opened.head.object_version.etag, is_immutable=False)
        if is_not_modified(request, headers["ETag"]):
            await self.executor.run(_close, opened.rest)
            return Response(status_code=304, headers=headers)
        content_type = content_type_of(row)
        headers["Content-Disposition"] = attachment(row.file_name or _default_name(row, content_type))
        return self._body_response(opened, content_type, headers)

    def _headers(self, content: str, *, is_immutable: bool) -> dict[str, str]:
        scope = "public" if self.is_public else "private"
        caching = f"{scope}, max-age={_YEAR_SECONDS}, immutable" if is_immutable else f"{scope}, no-cache"
        return {**_SECURITY_HEADERS, "ETag": f'"{content}"', "Cache-Control": caching}

    async def _open(self, request: Request, bucket: str, key: str) -> "_OpenObject":
        if is_head(request):
            return _OpenObject(await self.executor.run(self.storage.head, bucket, key))
        return await self.executor.run(_open, self.storage, bucket, key)

    def _body_response(self, opened: "_OpenObject", content_type: str, headers: dict[str, str]) -> Response:
        size = opened.head.object_version.size
        headers["Content-Length"] = str(size)
        if opened.rest is None or len(opened.start) == size:
            return Response(opened.start, headers=headers, media_type=content_type)
        return StreamingResponse(self._stream(opened.start, opened.rest), headers=headers, media_type=content_type)

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
    """An object and its first bytes. Without ``rest``, only its metadata was read."""

    head: ObjectMetadata
    start: bytes = b""
    rest: ObjectReader | None = None


def _open(storage: Storage, bucket: str, key: str) -> _OpenObject:
    """Open an object and read its first chunk, which is the whole of most thumbnails."""
    reader = _read(storage, bucket, key)
    head = cast("ObjectMetadata", next(reader))
    start = _next_chunk(reader)
    if len(start) == head.object_version.size:
        reader.close()
    return _OpenObject(head, start, reader)


def _read(storage: Storage, bucket: str, key: str) -> ObjectReader:
    with storage.open(bucket, key) as (head, stream):
        yield head
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def _next_chunk(reader: ObjectReader) -> bytes:
    return cast("bytes", next(reader, b""))


def _close(reader: ObjectReader | None) -> None:
    if reader is None:
        return
    with suppress(ValueError):  # another thread still reads; it is closed when it is garbage collected
        reader.close()


def _select_variant(row: ImageRow, type_: str) -> Variant:
    """Return the variant of this type. Raise Problem: not ready, or not found."""
    for variant in variants_of(row):
        if variant.type == type_:
            return variant
    if row.status in TERMINAL:
        raise Problem(Code.VARIANT_NOT_FOUND, f"the image is {row.status}")
    raise Problem(Code.NOT_READY, f"the image is {row.status}")


def is_not_modified(request: Request, etag: str) -> bool:
    """Return whether If-None-Match has this ETag, by weak comparison (RFC 9110, 13.1.2)."""
    opaque_tag = etag.removeprefix("W/")
    candidates = request.headers.get("if-none-match", "").split(",")
    return any(candidate.strip().removeprefix("W/") in {opaque_tag, "*"} for candidate in candidates)


def attachment(file_name: str) -> str:
    """Return a Content-Disposition (RFC 6266) that makes browsers save the file, with its name also in ASCII."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in file_name)
    encoded = quote(file_name, safe="", errors="replace")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"


def _default_name(row: ImageRow, content_type: str) -> str:
    return f"{row.id}.{EXTENSIONS.get(content_type, 'bin')}"
