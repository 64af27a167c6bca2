"""The API, as a table of contents: each address, what it does in a few steps, and where those are written."""

import uuid
from typing import Annotated, TypeVar

import structlog
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from gateway.cursors import read_cursor, write_cursor
from gateway.links import API, links_of
from gateway.parts import Parts
from gateway.problems import Code, Problem, describe, invalid
from gateway.reader import Row
from gateway.status import (
    TERMINAL,
    ImageOut,
    ImagePage,
    Status,
    Timeline,
    show,
    show_fact,
    validator,
)
from gateway.tickets import Ticket, TicketRequest
from gateway.traces import traceparent_from
from gateway.uploads import read_body
from gateway.variants import is_known
from pipeline.identity import ORIGINALS

router = APIRouter(prefix=API)

SMALL_BODY_BYTES = 64 * 1024
TIMELINE_LENGTH = 1000
_LOOKING = (Code.IMAGE_NOT_FOUND, Code.NOT_CAUGHT_UP, Code.DATABASE_AWAY, Code.STORAGE_AWAY)
UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
            "image/*": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


T = TypeVar("T", bound=BaseModel)


class Accepted(BaseModel):
    """An image that is stored and will be processed."""

    id: uuid.UUID
    status: Status = Status.PENDING
    file_name: str | None
    bucket: str = ORIGINALS
    key: str
    content_type: str
    bytes: int
    url: str


class Deleting(BaseModel):
    """An image whose object was deleted; its status follows."""

    id: uuid.UUID
    status: Status
    key: str


@router.post(
    "/images",
    status_code=202,
    response_model=Accepted,
    tags=["upload"],
    summary="Upload a picture",
    openapi_extra=UPLOAD_BODY,
    responses=describe(
        Code.MISSING_FILE,
        Code.EMPTY_FILE,
        Code.MALFORMED_FORM,
        Code.FILE_TOO_LARGE,
        Code.UNSUPPORTED_FORMAT,
        Code.UNSUPPORTED_CONTENT_TYPE,
        Code.TOO_MANY_UPLOADS,
        Code.STORAGE_TIMEOUT,
        Code.STORAGE_AWAY,
    ),
)
async def upload_image(request: Request) -> Response:
    """Take a form with a field `file`, or the bytes with an image content type."""
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
    response_model=Ticket,
    tags=["upload"],
    summary="Get a form for an upload straight to the store",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": TicketRequest.model_json_schema()}},
        }
    },
    responses=describe(Code.BODY_TOO_LARGE, Code.UNSUPPORTED_FORMAT, Code.INVALID_REQUEST, Code.BROKER_AWAY),
)
async def issue_ticket(request: Request) -> Response:
    """Give out a form for one key, content type and range of sizes; it can be used until `expires_at`."""
    wanted = await _read_json(request, TicketRequest)
    trace = traceparent_from(request.headers.get("traceparent"))
    ticket = await _parts(request).tickets.issue(wanted, trace)
    _bind(ticket.id)
    return _json(ticket, 201, {"Location": links_of(request).image(ticket.id)})


@router.get(
    "/images",
    response_model=ImagePage,
    tags=["images"],
    summary="List images, newest first",
    responses=describe(Code.INVALID_REQUEST, Code.DATABASE_AWAY),
)
async def list_images(
    request: Request,
    status: Annotated[Status | None, Query(description="Only images in this state")] = None,
    key: Annotated[str | None, Query(max_length=1024, description="Only the image under exactly this key")] = None,
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Response:
    """List images; with `key` it finds what an S3 client has uploaded."""
    parts, links = _parts(request), links_of(request)
    if key is not None:
        row = await parts.lookup.by_key(key)
        rows = [row] if row and status in {None, row.status} else []
        return _json(ImagePage(items=[show(row, links) for row in rows], next=None))
    after = read_cursor(cursor) if cursor else None
    (*rows,) = await parts.reader.page(status, after, limit + 1)
    following = write_cursor(rows[limit - 1].created_at, rows[limit - 1].id) if len(rows) > limit else None
    return _json(ImagePage(items=[show(row, links) for row in rows[:limit]], next=following))


@router.get(
    "/images/{image_id}",
    response_model=ImageOut,
    tags=["images"],
    summary="An image's state and variants",
    responses={304: {"description": "As it was"}, **describe(*_LOOKING)},
)
async def get_image(request: Request, image_id: uuid.UUID) -> Response:
    """Show an image. While its state is not final, `Retry-After` says when to ask again."""
    row = await _find(request, image_id)
    headers = {"ETag": validator(row), "Cache-Control": "private, no-cache"}
    if row.status not in TERMINAL:
        headers["Retry-After"] = "1"
    if is_known(request.headers.get("if-none-match", ""), headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return _json(show(row, links_of(request)), headers=headers)


@router.get(
    "/images/{image_id}/events",
    response_model=Timeline,
    tags=["images"],
    summary="What happened to an image",
    responses=describe(*_LOOKING),
)
async def get_timeline(request: Request, image_id: uuid.UUID) -> Response:
    """List what became known of an image, in the order in which it happened; at most the first 1000 facts."""
    await _find(request, image_id)
    facts = await _parts(request).reader.timeline(image_id, TIMELINE_LENGTH)
    return _json(
        Timeline(items=[show_fact(fact) for fact in facts]), headers={"Cache-Control": "private, no-cache"}
    )


@router.get(
    "/images/{image_id}/variants/{type}",
    response_class=Response,
    tags=["images"],
    summary="A variant's bytes",
    responses={
        200: {"content": {"image/*": {}}},
        304: {"description": "As it was"},
        **describe(*_LOOKING, Code.VARIANT_NOT_FOUND, Code.NOT_READY, Code.GONE),
    },
)
async def get_variant(
    request: Request,
    image_id: uuid.UUID,
    type: str,  # noqa: A002 - the name in the address
    v: Annotated[
        str | None, Query(max_length=100, description="Names the content; then it may be kept for ever")
    ] = None,
) -> Response:
    """Give the bytes of `original` or `thumbnail`. The address is stable; what it shows follows the object."""
    _bind(image_id)
    return await _parts(request).variants.give(request, image_id, type, v)


@router.delete(
    "/images/{image_id}",
    status_code=202,
    response_model=Deleting,
    tags=["images"],
    summary="Delete an image",
    responses=describe(*_LOOKING, Code.TICKET_NOT_USED),
)
async def delete_image(request: Request, image_id: uuid.UUID) -> Response:
    """Delete the object; its variants and its state follow."""
    row = await _find(request, image_id)
    parts = _parts(request)
    if row.status in {Status.AWAITING_UPLOAD, Status.EXPIRED} and not await parts.lookup.head(row.key):
        raise Problem(Code.TICKET_NOT_USED)
    if row.status != Status.DELETED:
        await parts.threads.run(parts.storage.delete, ORIGINALS, row.key)
    return _json(Deleting(id=row.id, status=Status(row.status), key=row.key), 202)


async def _find(request: Request, image_id: uuid.UUID) -> Row:
    _bind(image_id)
    return await _parts(request).lookup.image(image_id)


async def _read_json(request: Request, shape: type[T]) -> T:
    body = b"".join([chunk async for chunk in read_body(request.receive, SMALL_BODY_BYTES)])
    try:
        return shape.model_validate_json(body or b"{}")
    except ValidationError as fault:
        raise invalid(fault.errors(include_url=False)) from fault


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


def _bind(image_id: uuid.UUID) -> None:
    structlog.contextvars.bind_contextvars(image_id=str(image_id))


def _json(content: BaseModel, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(content.model_dump_json(), status, headers, media_type="application/json")
