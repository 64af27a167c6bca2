"""Uploads as Uppy's server (Companion) offers them, so that the published ``@uppy/aws-s3`` works unmodified.

A page needs no more than ``new Uppy().use(AwsS3, {companionEndpoint: "/api/v1"})``. Names and shapes of these
endpoints are Companion's. The plugin sends no headers of its own: the page uses the cookie of a session.
"""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field, ValidationError, field_validator

from thumbmill.core.contracts.batch import BATCH_PATTERN
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET
from thumbmill.gateway.access.principal import Principal, Scope
from thumbmill.gateway.api import openapi
from thumbmill.gateway.api.dependencies import PrincipalDep, ServicesDep, reject_other_pages
from thumbmill.gateway.api.parts import MAX_COMPLETE_BYTES
from thumbmill.gateway.api.route_scopes import needs
from thumbmill.gateway.container import Services
from thumbmill.gateway.http.idempotency_key import IDEMPOTENCY_KEY_PATTERN
from thumbmill.gateway.http.request_body import read_json
from thumbmill.gateway.limits.limiter import limits_of
from thumbmill.gateway.problems import Code, Problem, validation_problem
from thumbmill.gateway.tracing import traceparent_of
from thumbmill.gateway.uploads.idempotency import IdempotencyKey
from thumbmill.gateway.uploads.part_sizes import MAX_PARTS
from thumbmill.gateway.uploads.parts import URL_LIFETIME
from thumbmill.gateway.uploads.tickets import FileDescription
from thumbmill.gateway.uploads.upload_tokens import UploadToken
from thumbmill.gateway.urls import API, links_of

# Some of these change something by GET, as Companion's do, so pages of other origins may not send them either.
router = APIRouter(
    prefix=f"{API}/s3", tags=["uppy"], dependencies=[needs(Scope.UPLOAD), Depends(reject_other_pages)]
)

Key = Annotated[str, Query(max_length=1024, description="The value of `key` when the upload was started")]
FileName = Annotated[str, Query(min_length=1, max_length=1000, description="Name of the file")]
ContentType = Annotated[str, Query(alias="type", max_length=200, description="Content type of the file")]
PartNumber = Annotated[int, Field(ge=1, le=MAX_PARTS)]
Numbers = Annotated[
    str, Query(alias="partNumbers", pattern=r"^\d{1,5}(,\d{1,5}){0,99}$", description="Numbers, comma separated")
]


class Metadata(BaseModel):
    """What is read of a file's metadata in Uppy; the rest is ignored."""

    size: int | None = Field(None, ge=1, description="Size of the file: then the object store checks each part's")
    batch: str | None = Field(None, pattern=BATCH_PATTERN, description="Label of uploads that belong together")
    idempotency_key: str | None = Field(
        None, pattern=IDEMPOTENCY_KEY_PATTERN, description="As the header `Idempotency-Key` of other uploads"
    )


class MultipartRequest(BaseModel):
    """The file that Uppy is going to upload in parts."""

    filename: str = Field(min_length=1, max_length=1000)
    type: str = Field(max_length=200)
    metadata: Metadata = Metadata(size=None, batch=None, idempotency_key=None)

    @field_validator("metadata", mode="before")
    @classmethod
    def _replace_null(cls, metadata: Any) -> Any:
        return metadata or {}


class FormParameters(BaseModel):
    """Where and how to POST a file."""

    method: str = "POST"
    url: str
    fields: dict[str, str]
    expires: int = Field(description="Seconds")


class Multipart(BaseModel):
    """A started upload."""

    key: str
    uploadId: str  # noqa: N815 - Companion's names, here and below
    bucket: str = ORIGINALS_BUCKET
    id: uuid.UUID = Field(description="Id of the image")


class StoredPartOut(BaseModel):
    """A part that the object store has."""

    PartNumber: int
    ETag: str
    Size: int


class SignedPart(BaseModel):
    """Where to PUT a part."""

    url: str
    expires: int = Field(description="Seconds")


class SignedParts(BaseModel):
    """Where to PUT parts, by number."""

    presignedUrls: dict[int, str]  # noqa: N815


class CompletedPart(BaseModel):
    """A part as the object store answered it."""

    PartNumber: PartNumber
    ETag: str = Field(max_length=100)


class MultipartCompletion(BaseModel):
    """All parts of the file."""

    parts: list[CompletedPart] = Field(max_length=MAX_PARTS)


class Completed(BaseModel):
    """An image that is stored and will be processed."""

    location: str = Field(description="URL of the image in this API")
    key: str
    bucket: str = ORIGINALS_BUCKET
    id: uuid.UUID = Field(description="Id of the image")


async def find_upload(services: ServicesDep, principal: PrincipalDep, upload_id: str, key: Key) -> UploadToken:
    """Return the upload with this id and key. Raise Problem for any other key: Companion accepts all of them."""
    token = services.part_uploads.tokens.decode(upload_id, principal.tenant)
    if token.key != key:
        raise Problem(Code.KEY_NOT_ALLOWED)
    return token


UploadDep = Annotated[UploadToken, Depends(find_upload)]


@router.get("/params", responses=openapi.COMPANION_TICKET)
async def get_form(
    request: Request, services: ServicesDep, filename: FileName, type_: ContentType = ""
) -> FormParameters:
    """Create a ticket for a file that Uppy uploads in one request."""
    services.admission.check_capacity("uploads")
    parameters = request.query_params
    metadata = read_metadata({name: parameters.get(f"metadata[{name}]") for name in ("batch", "idempotency_key")})
    file = FileDescription(content_type=type_, file_name=filename, batch=metadata.batch)
    key = await check_key(services, limits_of(request.scope).client, metadata)
    upload = await services.presigned_uploads.create(
        file, metadata.size, traceparent_of(request), limits_of(request.scope), key
    )
    expires = int(services.presigned_uploads.lifetime.total_seconds())
    return FormParameters(url=upload.form.url, fields=upload.form.fields, expires=expires)


@router.post("/multipart", openapi_extra=openapi.json_body(MultipartRequest), responses=openapi.COMPANION_TICKET)
async def start_multipart(request: Request, services: ServicesDep) -> Multipart:
    """Start an upload in parts."""
    services.admission.check_capacity("uploads")
    wanted = await read_json(request, MultipartRequest)
    metadata, limits = wanted.metadata, limits_of(request.scope)
    file = FileDescription(content_type=wanted.type, file_name=wanted.filename, batch=metadata.batch)
    key = await check_key(services, limits.client, metadata)
    started = await services.part_uploads.start(file, metadata.size, traceparent_of(request), limits, key)
    return Multipart(key=started.key, uploadId=started.upload_id, id=started.id)


@router.get("/multipart/{upload_id}", responses=openapi.PARTS)  # noqa: FAST003 - of UploadDep
async def list_parts(services: ServicesDep, upload: UploadDep) -> list[StoredPartOut]:
    """List the parts that the object store has."""
    parts = await services.part_uploads.list_parts(upload)
    return [StoredPartOut(PartNumber=part.number, ETag=part.etag, Size=part.size) for part in parts]


@router.get("/multipart/{upload_id}/batch", responses=openapi.PARTS)  # noqa: FAST003 - of UploadDep
async def sign_parts(services: ServicesDep, upload: UploadDep, part_numbers: Numbers) -> SignedParts:
    """Get URLs to PUT several parts to."""
    numbers = [int(number) for number in part_numbers.split(",")]
    signed = services.part_uploads.sign(upload, numbers)
    return SignedParts(presignedUrls={number: url for number, (url, _) in signed.items()})


@router.get("/multipart/{upload_id}/{number}", responses=openapi.PARTS)  # noqa: FAST003 - of UploadDep
async def sign_part(services: ServicesDep, upload: UploadDep, number: int) -> SignedPart:
    """Get the URL to PUT a part to."""
    signed = services.part_uploads.sign(upload, [number])
    return SignedPart(url=signed[number][0], expires=int(URL_LIFETIME.total_seconds()))


@router.post(
    "/multipart/{upload_id}/complete",  # noqa: FAST003 - of UploadDep
    openapi_extra=openapi.json_body(MultipartCompletion),
    responses=openapi.COMPLETE,
)
async def complete_multipart(request: Request, services: ServicesDep, upload: UploadDep) -> Completed:
    """Join the parts into the image. Repetitions have no effect and the same response."""
    listed = await read_json(request, MultipartCompletion, MAX_COMPLETE_BYTES)
    etags = {part.PartNumber: part.ETag for part in listed.parts}
    stored = await services.part_uploads.complete(upload, etags, traceparent_of(request))
    return Completed(location=links_of(request).image(stored.id), key=stored.key, id=stored.id)


@router.delete("/multipart/{upload_id}", responses=openapi.ABORT)  # noqa: FAST003 - of UploadDep
async def abort_multipart(request: Request, services: ServicesDep, upload: UploadDep) -> dict[str, str]:
    """Drop the uploaded parts, and have the ticket expire. A completed upload stays."""
    await services.part_uploads.abort(upload, traceparent_of(request))
    return {}


async def check_key(services: Services, principal: Principal, metadata: Metadata) -> IdempotencyKey | None:
    """Return the idempotency key of a file. Raise Problem if its image was deleted.

    Companion cannot answer that the image is there already, so the file is sent again: no second image, either.
    """
    if metadata.idempotency_key is None:
        return None
    key = IdempotencyKey(metadata.idempotency_key, principal.tenant)
    await services.earlier_uploads.find(key.image_id, key.object_key)
    return key


def read_metadata(values: dict[str, str | None]) -> Metadata:
    """Validate the metadata in a query. Raise Problem."""
    try:
        return Metadata.model_validate(values)
    except ValidationError as error:
        raise validation_problem(error.errors(include_url=False)) from error
