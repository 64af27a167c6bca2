"""Downloads: originals as attachments that no browser executes, variants with caching."""

import uuid
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from fastapi import Request
from starlette.responses import Response

from thumbmill.core.contracts.events import Variant
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, VARIANTS_BUCKET
from thumbmill.core.contracts.status import Status
from thumbmill.core.contracts.tenants import DEFAULT_TENANT, tenant_of
from thumbmill.core.object_store.errors import ObjectNotFoundError
from thumbmill.core.object_store.store import ObjectMetadata
from thumbmill.gateway.http.media_types import EXTENSIONS
from thumbmill.gateway.http.object_responses import (
    SECURITY_HEADERS,
    YEAR_SECONDS,
    Headers,
    ObjectResponses,
    is_not_modified,
)
from thumbmill.gateway.images.lookup import Lookup
from thumbmill.gateway.images.presenter import ORIGINAL, content_id, content_type_of, variants_of
from thumbmill.gateway.images.repository import ImageRow
from thumbmill.gateway.images.states import TERMINAL, WITHOUT_OBJECT
from thumbmill.gateway.images.tracker_client import TrackerClient
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.tracing import traceparent_of


@dataclass(frozen=True)
class ImageDelivery:
    """Finds the object of a download, and responds with it."""

    lookup: Lookup
    responses: ObjectResponses
    tracker: TrackerClient
    is_public: bool  # no key is required: shared caches may store images of the default tenant

    async def respond(
        self, request: Request, image_id: uuid.UUID, tenant: str, type_: str, requested_content: str | None
    ) -> Response:
        """Return the bytes of a variant, or a 304. Raise Problem.

        ``requested_content`` is the content id in the URL, if there is one.
        """
        row = await self.lookup.find(image_id, tenant)
        try:
            return await self._respond(request, row, type_, requested_content)
        except ObjectNotFoundError:
            row = await self.lookup.find(image_id, tenant)  # the variant may have been replaced in the meantime
        try:
            return await self._respond(request, row, type_, requested_content)
        except ObjectNotFoundError as error:
            raise await self._diagnose(row, type_, traceparent_of(request)) from error

    async def _diagnose(self, row: ImageRow, type_: str, traceparent: str) -> Problem:
        """Return the reason why an object that the row lists does not exist, and report it to the tracker."""
        try:
            original = await self.responses.head(ORIGINALS_BUCKET, row.key)
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
        headers = self._headers(row, content, variant.content_type, is_immutable=requested_content == content)
        if is_not_modified(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        return await self.responses.respond(request, VARIANTS_BUCKET, variant.key, lambda _: headers)

    async def _respond_with_original(self, request: Request, row: ImageRow) -> Response:
        if row.status in WITHOUT_OBJECT:
            raise Problem(Code.NOT_READY)
        return await self.responses.respond(
            request, ORIGINALS_BUCKET, row.key, partial(self._describe_original, row)
        )

    def _describe_original(self, row: ImageRow, metadata: ObjectMetadata) -> Headers:
        content_type = content_type_of(row)
        headers = self._headers(row, metadata.object_version.etag, content_type, is_immutable=False)
        return headers | {"Content-Disposition": attachment(row.file_name or _default_name(row, content_type))}

    def _headers(self, row: ImageRow, content: str, content_type: str, *, is_immutable: bool) -> Headers:
        scope = "public" if self.is_public and tenant_of(row.key) == DEFAULT_TENANT else "private"
        caching = f"{scope}, max-age={YEAR_SECONDS}, immutable" if is_immutable else f"{scope}, no-cache"
        return {
            **SECURITY_HEADERS,
            "Content-Type": content_type,
            "ETag": f'"{content}"',
            "Cache-Control": caching,
        }


def _select_variant(row: ImageRow, type_: str) -> Variant:
    """Return the variant of this type. Raise Problem: not ready, or not found."""
    for variant in variants_of(row):
        if variant.type == type_:
            return variant
    if row.status in TERMINAL:
        raise Problem(Code.VARIANT_NOT_FOUND, f"the image is {row.status}")
    raise Problem(Code.NOT_READY, f"the image is {row.status}")


def attachment(file_name: str) -> str:
    """Return a Content-Disposition (RFC 6266) that makes browsers save the file, with its name also in ASCII."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in file_name)
    encoded = quote(file_name, safe="", errors="replace")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}"


def _default_name(row: ImageRow, content_type: str) -> str:
    return f"{row.id}.{EXTENSIONS.get(content_type, 'bin')}"
