"""Giving out bytes: originals as attachments that no browser runs, variants with caching."""

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
from thumbmill.gateway.images.presenter import (
    ORIGINAL,
    TERMINAL,
    WITHOUT_OBJECT,
    content_id,
    content_type_of,
    variants_of,
)
from thumbmill.gateway.images.repository import ImageRow
from thumbmill.gateway.images.tracker_client import TrackerClient
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.tracing import traceparent_from

CHUNK_BYTES = 256 * 1024
_YEAR_SECONDS = 31_536_000
_SAFE = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox; default-src 'none'"}

Reading = Generator[ObjectMetadata | bytes, None, None]


@dataclass(frozen=True)
class Variants:
    """Streams from the bucket through the gateway: docs/decisions/003 says why."""

    lookup: Lookup
    storage: Storage
    executor: BoundedExecutor
    tracker: TrackerClient
    is_public: bool  # caches that many share may keep what everybody may see

    async def give(self, request: Request, image_id: uuid.UUID, type_: str, wanted: str | None) -> Response:
        """Answer with a variant's bytes, or 304; ``wanted`` names the content, if the URL does. Raises Problem."""
        row = await self.lookup.image(image_id)
        try:
            return await self._give(request, row, type_, wanted)
        except ObjectNotFoundError:
            row = await self.lookup.image(image_id)  # what it promised may have moved on meanwhile
        try:
            return await self._give(request, row, type_, wanted)
        except ObjectNotFoundError as error:
            raise await self._explain(row, type_, _trace(request)) from error

    async def _explain(self, row: ImageRow, type_: str, traceparent: str) -> Problem:
        """Say why there is nothing under an address that should have something, and have the tracker look, too."""
        try:
            original = await self.executor.run(self.storage.head, ORIGINALS_BUCKET, row.key)
        except ObjectNotFoundError:
            self.tracker.report_missing(row, [], traceparent)
            return Problem(Code.GONE)  # the bucket is the truth about what exists
        if type_ == ORIGINAL or str(original.object_version) != row.object_version:
            return Problem(Code.NOT_READY, "the object was replaced a moment ago")
        self.tracker.report_missing(row, [_choose(row, type_).key], traceparent)
        return Problem(Code.VARIANT_LOST)

    async def _give(self, request: Request, row: ImageRow, type_: str, wanted: str | None) -> Response:
        """Raise NotThereError where the bucket lacks what the row promises."""
        if row.status == Status.DELETED:
            raise Problem(Code.GONE)
        if type_ == ORIGINAL:
            return await self._give_original(request, row)
        variant = _choose(row, type_)
        content = content_id(variant)
        headers = self._headers(content, forever=wanted == content)
        if is_known(request.headers.get("if-none-match", ""), headers["ETag"]):
            return Response(status_code=304, headers=headers)
        opened = await self._open(request, VARIANTS_BUCKET, variant.key)
        return self._answer(opened, variant.content_type, headers)

    async def _give_original(self, request: Request, row: ImageRow) -> Response:
        if row.status in WITHOUT_OBJECT:
            raise Problem(Code.NOT_READY)
        opened = await self._open(request, ORIGINALS_BUCKET, row.key)
        headers = self._headers(opened.head.object_version.etag, forever=False)
        if is_known(request.headers.get("if-none-match", ""), headers["ETag"]):
            await self.executor.run(_close, opened.rest)
            return Response(status_code=304, headers=headers)
        content_type = content_type_of(row)
        headers["Content-Disposition"] = attachment(row.file_name or _name_for(row, content_type))
        return self._answer(opened, content_type, headers)

    def _headers(self, content: str, *, forever: bool) -> dict[str, str]:
        scope = "public" if self.is_public else "private"
        caching = f"{scope}, max-age={_YEAR_SECONDS}, immutable" if forever else f"{scope}, no-cache"
        return {**_SAFE, "ETag": f'"{content}"', "Cache-Control": caching}

    async def _open(self, request: Request, bucket: str, key: str) -> "_Opened":
        if is_head(request):
            return _Opened(await self.executor.run(self.storage.head, bucket, key))
        return await self.executor.run(_open, self.storage, bucket, key)

    def _answer(self, opened: "_Opened", content_type: str, headers: dict[str, str]) -> Response:
        size = opened.head.object_version.size
        headers["Content-Length"] = str(size)
        if opened.rest is None or len(opened.start) == size:
            return Response(opened.start, headers=headers, media_type=content_type)
        return StreamingResponse(self._stream(opened.start, opened.rest), headers=headers, media_type=content_type)

    async def _stream(self, start: bytes, rest: Reading) -> AsyncIterator[bytes]:
        try:
            chunk = start
            while chunk:
                yield chunk
                chunk = await self.executor.run(_next_chunk, rest)
        finally:
            await self.executor.start(_close, rest)


@dataclass(frozen=True)
class _Opened:
    """An object whose first bytes are here; without ``rest``, what is known of one that nobody reads."""

    head: ObjectMetadata
    start: bytes = b""
    rest: Reading | None = None


def _open(storage: Storage, bucket: str, key: str) -> _Opened:
    """Open an object and read its first chunk, which is all of most thumbnails."""
    reading = _read(storage, bucket, key)
    head = cast("ObjectMetadata", next(reading))
    start = _next_chunk(reading)
    if len(start) == head.object_version.size:
        reading.close()
    return _Opened(head, start, reading)


def _read(storage: Storage, bucket: str, key: str) -> Reading:
    with storage.open(bucket, key) as (head, stream):
        yield head
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def _next_chunk(reading: Reading) -> bytes:
    return cast("bytes", next(reading, b""))


def _close(reading: Reading | None) -> None:
    if reading is None:
        return
    with suppress(ValueError):  # another thread still reads: then it is closed as it is forgotten
        reading.close()


def _trace(request: Request) -> str:
    return traceparent_from(request.headers.get("traceparent"))


def _choose(row: ImageRow, type_: str) -> Variant:
    """Find a variant of a row. Raises Problem: not yet, or never."""
    for variant in variants_of(row):
        if variant.type == type_:
            return variant
    if row.status in TERMINAL:
        raise Problem(Code.VARIANT_NOT_FOUND, f"the image is {row.status}")
    raise Problem(Code.NOT_READY, f"the image is {row.status}")


def is_known(if_none_match: str, etag: str) -> bool:
    """Compare weakly (RFC 9110, 13.1.2): the client has these bytes already."""
    bare = etag.removeprefix("W/")
    return any(one.strip().removeprefix("W/") in {bare, "*"} for one in if_none_match.split(","))


def attachment(file_name: str) -> str:
    """Write a Content-Disposition that makes a browser save (RFC 6266), with the name in full and in ASCII."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in file_name)
    encoded = quote(file_name, safe="", errors="replace")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"


def _name_for(row: ImageRow, content_type: str) -> str:
    return f"{row.id}.{EXTENSIONS.get(content_type, 'bin')}"
