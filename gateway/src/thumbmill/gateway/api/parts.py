"""Resumable uploads: a client sends the parts of a file directly to the object store, in any order."""

import uuid
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, model_validator

from thumbmill.core.contracts.status import Status
from thumbmill.gateway.access.principal import Scope
from thumbmill.gateway.api import openapi
from thumbmill.gateway.api import parameters as params
from thumbmill.gateway.api.dependencies import LinksDep, PrincipalDep, ServicesDep
from thumbmill.gateway.api.route_scopes import needs
from thumbmill.gateway.api.waiting import WaitSeconds, respond_to_upload
from thumbmill.gateway.http.request_body import read_json
from thumbmill.gateway.images.models import Accepted
from thumbmill.gateway.tracing import traceparent_of
from thumbmill.gateway.uploads.part_sizes import MAX_PARTS, part_bytes, part_count
from thumbmill.gateway.uploads.parts import MAX_NUMBERS, StartedUpload
from thumbmill.gateway.uploads.tickets import FileDescription
from thumbmill.gateway.urls import API, Links

MAX_COMPLETE_BYTES = 1024 * 1024  # of a body that lists all parts

router = APIRouter(prefix=f"{API}/uploads/{{image_id}}", tags=["upload"], dependencies=[needs(Scope.UPLOAD)])


class UploadRequest(FileDescription):
    """The file that a client is going to upload directly to the object store."""

    method: Literal["form", "parts"] = Field(
        "form", description="`form`: one request; `parts`: a multipart upload that can be resumed for 24 hours"
    )
    bytes: int | None = Field(
        None, ge=1, description="Size of the file; required for `parts`. A form then accepts no larger file"
    )
    sha256: str | None = Field(
        None,
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256 of the file, 64 hex digits: if there is an image with these bytes, the response is a "
        "200 with its id, and no ticket",
    )

    @model_validator(mode="after")
    def _check_size(self) -> "UploadRequest":
        if self.method == "parts" and self.bytes is None:
            raise ValueError("bytes is required for the method 'parts'")
        return self


class PartsUpload(BaseModel):
    """A ticket to upload one file in parts."""

    id: uuid.UUID
    status: Status = Status.AWAITING_UPLOAD
    key: str
    upload_id: str = Field(description="Keep it: whoever has it can continue, complete or abort the upload")
    part_bytes: int = Field(description="Size of every part but the last")
    part_count: int
    expires_at: datetime
    parts_url: str
    complete_url: str


class PartNumbers(BaseModel):
    """The parts to upload next, numbered from 1."""

    numbers: list[int] = Field(min_length=1, max_length=MAX_NUMBERS)


class PartUrl(BaseModel):
    """Where to PUT a part, within an hour."""

    url: str
    bytes: int = Field(description="Exact size of the part; the object store accepts no other")


class UploadedPart(BaseModel):
    """A part that the object store has."""

    number: Annotated[int, Field(ge=1, le=MAX_PARTS)]
    bytes: int
    etag: str


class ListedPart(BaseModel):
    """A part as the client uploaded it."""

    number: Annotated[int, Field(ge=1, le=MAX_PARTS)]
    etag: Annotated[str, Field(max_length=100, description="The `ETag` of the response to the part")]


class Completion(BaseModel):
    """The parts of the file. Without them, the object store's list is used."""

    parts: list[ListedPart] | None = Field(None, max_length=MAX_PARTS)


def to_parts_upload(started: StartedUpload, links: Links) -> PartsUpload:
    """Return the response to a request for parts."""
    size = started.token.size or 0
    return PartsUpload(
        id=started.id,
        key=started.key,
        upload_id=started.upload_id,
        part_bytes=part_bytes(size),
        part_count=part_count(size),
        expires_at=started.token.expires_at,
        parts_url=links.upload(started.id, "parts", started.upload_id),
        complete_url=links.upload(started.id, "complete", started.upload_id),
    )


@router.post("/parts", openapi_extra=openapi.json_body(PartNumbers), responses=openapi.PARTS)
async def sign_parts(
    request: Request,
    services: ServicesDep,
    principal: PrincipalDep,
    image_id: uuid.UUID,
    upload_id: params.UploadId,
) -> dict[int, PartUrl]:
    """Get URLs to PUT parts to, by part number. A part can be uploaded again."""
    token = services.part_uploads.find(image_id, principal.tenant, upload_id)
    wanted = await read_json(request, PartNumbers)
    signed = services.part_uploads.sign(token, wanted.numbers)
    return {number: PartUrl(url=url, bytes=size or 0) for number, (url, size) in signed.items()}


@router.get("/parts", responses=openapi.PARTS)
async def list_parts(
    response: Response,
    services: ServicesDep,
    principal: PrincipalDep,
    image_id: uuid.UUID,
    upload_id: params.UploadId,
) -> list[UploadedPart]:
    """List the parts that the object store has, to resume an upload."""
    parts = await services.part_uploads.list_parts(
        services.part_uploads.find(image_id, principal.tenant, upload_id)
    )
    response.headers["Cache-Control"] = "no-store"
    return [UploadedPart(number=part.number, bytes=part.size, etag=part.etag) for part in parts]


@router.post(
    "/complete",
    status_code=202,
    response_model=Accepted,
    openapi_extra=openapi.json_body(Completion),
    responses=openapi.UPLOADED | openapi.COMPLETE,
)
async def complete_upload(
    request: Request,
    services: ServicesDep,
    links: LinksDep,
    principal: PrincipalDep,
    image_id: uuid.UUID,
    upload_id: params.UploadId,
    wait: WaitSeconds,
) -> Response:
    """Join the parts into the image. Repetitions have no effect.

    With `Prefer: wait=N`, the response waits as that of `POST /api/v1/images` does.
    """
    token = services.part_uploads.find(image_id, principal.tenant, upload_id)
    listed = await read_json(request, Completion, MAX_COMPLETE_BYTES)
    etags = None if listed.parts is None else {part.number: part.etag for part in listed.parts}
    stored = await services.part_uploads.complete(token, etags, traceparent_of(request))
    return await respond_to_upload(request, services, links, stored, wait)


@router.delete("", status_code=204, responses=openapi.ABORT)
async def abort_upload(
    request: Request,
    services: ServicesDep,
    principal: PrincipalDep,
    image_id: uuid.UUID,
    upload_id: params.UploadId,
) -> None:
    """Drop the uploaded parts, and have the ticket expire. A completed upload stays."""
    token = services.part_uploads.find(image_id, principal.tenant, upload_id)
    await services.part_uploads.abort(token, traceparent_of(request))
