"""The API, as a table of contents: each address, and what it does in a few steps."""

import uuid
from typing import Annotated

import structlog
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from thumbmill.core.contracts.identity import ORIGINALS_BUCKET
from thumbmill.core.contracts.status import Status
from thumbmill.gateway.api import openapi
from thumbmill.gateway.container import Services
from thumbmill.gateway.http.request_body import read_json
from thumbmill.gateway.images.delivery import is_known
from thumbmill.gateway.images.models import Accepted, DeletionAccepted, ImageOut, ImagePage, RetryAccepted, Timeline
from thumbmill.gateway.images.pagination import read_cursor, write_cursor
from thumbmill.gateway.images.presenter import (
    TERMINAL,
    WITHOUT_UPLOAD,
    etag_of,
    select_states,
    to_event_out,
    to_image_out,
)
from thumbmill.gateway.images.repository import ImageRow
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.tracing import traceparent_from
from thumbmill.gateway.uploads.presigned import PresignedUpload, PresignedUploadRequest
from thumbmill.gateway.urls import API, links_of

router = APIRouter(prefix=API)

TIMELINE_LENGTH = 1000

StatusFilter = Annotated[
    list[Status] | None, Query(max_length=20, description="Only images in this state; may be given several times")
]
Deleted = Annotated[bool, Query(description="`false` leaves out what is DELETED")]
KeyFilter = Annotated[str | None, Query(max_length=1024, description="Only the image under exactly this key")]
Cursor = Annotated[str | None, Query(max_length=200, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=200)]
Content = Annotated[str | None, Query(max_length=100, description="Names the content, which then never changes")]


@router.post(
    "/images",
    status_code=202,
    response_model=Accepted,
    tags=["upload"],
    openapi_extra=openapi.UPLOAD_BODY,
    responses=openapi.UPLOAD_ANSWERS,
)
async def upload_image(request: Request) -> Response:
    """Take a form with a field `file`, or the bytes with an image content type."""
    _parts(request).admission.check_capacity("upload")
    stored = await _parts(request).uploads.take(request)
    url = links_of(request).image(stored.image_id)
    accepted = Accepted(
        id=stored.image_id,
        file_name=stored.file_name,
        key=stored.key,
        content_type=stored.content_type,
        bytes=stored.size,
        url=url,
    )
    return _json(accepted, 202, {"Location": url})


@router.post(
    "/uploads",
    status_code=201,
    response_model=PresignedUpload,
    tags=["upload"],
    openapi_extra=openapi.TICKET_BODY,
    responses=openapi.TICKET_ANSWERS,
)
async def create_presigned_upload(request: Request) -> Response:
    """Give out a form with which one file can be sent straight to the store, until `expires_at`."""
    _parts(request).admission.check_capacity("ticket")
    wanted = await read_json(request, PresignedUploadRequest)
    ticket = await _parts(request).presigned_uploads.create(wanted, _trace(request), request.state.client)
    _bind(ticket.id)
    return _json(ticket, 201, {"Location": links_of(request).image(ticket.id)})


@router.get("/images", response_model=ImagePage, tags=["images"], responses=openapi.LIST_ANSWERS)
async def list_images(
    request: Request,
    status: StatusFilter = None,
    deleted: Deleted = True,  # noqa: FBT002 - a parameter of the address
    key: KeyFilter = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Response:
    """List images, newest first; with `key`, find what an S3 client has uploaded.

    A list is as the tracker has it, without what it has not heard of yet: an image's own address, or `key`, may
    be a moment ahead of it.
    """
    services, links, states = _parts(request), links_of(request), select_states(status, deleted=deleted)
    if key is not None:
        row = await services.lookup.by_key(key)
        rows = [row] if row and (states is None or row.status in states) else []
        return _json(ImagePage(items=[to_image_out(row, links) for row in rows], next=None))
    after = read_cursor(cursor) if cursor else None
    page = await services.repository.page(states, after, limit + 1)
    following = write_cursor(page[limit - 1].created_at, page[limit - 1].id) if len(page) > limit else None
    return _json(ImagePage(items=[to_image_out(row, links) for row in page[:limit]], next=following))


@router.get("/images/{image_id}", response_model=ImageOut, tags=["images"], responses=openapi.IMAGE_ANSWERS)
async def get_image(request: Request, image_id: uuid.UUID) -> Response:
    """Show an image. While its state is not final, `Retry-After` says when to ask again."""
    row = await _find(request, image_id)
    headers = {"ETag": etag_of(row), "Cache-Control": "private, no-cache"}
    if row.status not in TERMINAL:
        headers["Retry-After"] = "1"
    if is_known(request.headers.get("if-none-match", ""), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return _json(to_image_out(row, links_of(request)), headers=headers)


@router.get(
    "/images/{image_id}/events", response_model=Timeline, tags=["images"], responses=openapi.TIMELINE_ANSWERS
)
async def get_timeline(request: Request, image_id: uuid.UUID) -> Response:
    """List what became known of an image, in the order in which it happened; at most the first 1000 facts."""
    await _find(request, image_id)
    facts = await _parts(request).repository.timeline(image_id, TIMELINE_LENGTH)
    timeline = Timeline(items=[to_event_out(fact) for fact in facts])
    return _json(timeline, headers={"Cache-Control": "private, no-cache"})


@router.get(
    "/images/{image_id}/variants/{type}",
    response_class=Response,
    tags=["images"],
    responses=openapi.VARIANT_ANSWERS,
)
async def get_variant(request: Request, image_id: uuid.UUID, type: str, v: Content = None) -> Response:  # noqa: A002
    """Give the bytes of `original` or of a variant. The address is stable; what it shows follows the object."""
    _bind(image_id)
    return await _parts(request).variants.give(request, image_id, type, v)


@router.post(
    "/images/{image_id}/retry",
    status_code=202,
    response_model=RetryAccepted,
    tags=["images"],
    responses=openapi.RETRY_ANSWERS,
)
async def retry_image(request: Request, image_id: uuid.UUID) -> Response:
    """Try a FAILED image again whose error is `retryable`; its status follows. Asking twice makes one try."""
    _bind(image_id)
    services = _parts(request)
    row = await services.lookup.image(image_id)
    await services.tracker.retry(row, _trace(request))
    row = await services.lookup.wait_until_changed(row)
    url = links_of(request).image(image_id)
    return _json(RetryAccepted(id=row.id, status=Status(row.status), url=url), 202, {"Location": url})


@router.delete(
    "/images/{image_id}",
    status_code=202,
    response_model=DeletionAccepted,
    tags=["images"],
    responses=openapi.DELETE_ANSWERS,
)
async def delete_image(request: Request, image_id: uuid.UUID) -> Response:
    """Delete the object; its variants and its state follow."""
    _bind(image_id)
    services = _parts(request)
    row = await services.lookup.wait_until_tracked(image_id)
    if row.status in WITHOUT_UPLOAD:
        raise Problem(Code.TICKET_NOT_USED)
    if row.status != Status.DELETED:
        await services.executor.run(services.storage.delete, ORIGINALS_BUCKET, row.key)
    return _json(DeletionAccepted(id=row.id, status=Status(row.status), key=row.key or None), 202)


async def _find(request: Request, image_id: uuid.UUID) -> ImageRow:
    _bind(image_id)
    return await _parts(request).lookup.image(image_id)


def _trace(request: Request) -> str:
    return traceparent_from(request.headers.get("traceparent"))


def _parts(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def _bind(image_id: uuid.UUID) -> None:
    structlog.contextvars.bind_contextvars(image_id=str(image_id))


def _json(content: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(content.model_dump_json(), status, headers, media_type="application/json")
