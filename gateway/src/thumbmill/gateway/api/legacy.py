"""The legacy upload endpoint, kept for existing clients."""

import uuid

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel

from thumbmill.core.contracts.batch import valid_batch
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET
from thumbmill.core.contracts.status import Status
from thumbmill.gateway.access.principal import Scope
from thumbmill.gateway.api import openapi
from thumbmill.gateway.api.dependencies import PrincipalDep, ServicesDep
from thumbmill.gateway.api.idempotency import read_idempotency_key
from thumbmill.gateway.api.route_scopes import needs
from thumbmill.gateway.api.waiting import replayed_header
from thumbmill.gateway.problems import Code, Problem

router = APIRouter(tags=["legacy"], dependencies=[needs(Scope.UPLOAD)])


class LegacyUpload(BaseModel):
    """An image that is stored and will be processed."""

    id: uuid.UUID
    filename: str | None
    bucket: str = ORIGINALS_BUCKET
    key: str
    status: Status = Status.PENDING


@router.post(
    "/upload-image/",
    summary="Upload an image (legacy)",
    openapi_extra=openapi.UPLOAD_BODY,
    responses=openapi.LEGACY_UPLOAD,
)
@router.post("/upload-image", include_in_schema=False)
async def upload_image(
    request: Request, response: Response, services: ServicesDep, principal: PrincipalDep, batch: str | None = None
) -> LegacyUpload:
    """Upload an image as a form with a field `file`. Every client error but a 429 is a 400."""
    services.admission.check_capacity("upload-image")
    if batch is not None and not valid_batch(batch):
        detail = "batch: must have 1 to 64 characters of A-Z, a-z, 0-9, _ and -"
        raise Problem(Code.INVALID_REQUEST, detail, status=400)
    try:
        key = await read_idempotency_key(request)
        stored = await services.uploads.store(request, principal.tenant, batch, key)
    except Problem as problem:
        if problem.is_client_error and problem.code != Code.RATE_LIMITED:
            problem.status = 400
        raise
    status = (
        Status((await services.lookup.find(stored.id, principal.tenant)).status)
        if stored.is_replayed
        else Status.PENDING
    )
    response.headers.update(replayed_header(is_replayed=stored.is_replayed))
    return LegacyUpload(id=stored.id, filename=stored.file_name, key=stored.key, status=status)
