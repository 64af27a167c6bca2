"""The older interface: one upload route, kept for the clients that know it."""

import uuid

from fastapi import APIRouter, Request
from pydantic import BaseModel

from thumbmill.core.contracts.identity import ORIGINALS_BUCKET
from thumbmill.core.contracts.status import Status
from thumbmill.gateway.api.openapi import OLDER_UPLOAD_ANSWERS, UPLOAD_BODY
from thumbmill.gateway.container import Services
from thumbmill.gateway.problems import Problem

router = APIRouter(tags=["older interface"])


class Uploaded(BaseModel):
    """An image that is stored and will be processed."""

    id: uuid.UUID
    filename: str | None
    bucket: str = ORIGINALS_BUCKET
    key: str
    status: Status = Status.PENDING


@router.post(
    "/upload-image/",
    summary="Upload a picture",
    openapi_extra=UPLOAD_BODY,
    responses=OLDER_UPLOAD_ANSWERS,
)
@router.post("/upload-image", include_in_schema=False)
async def upload_image(request: Request) -> Uploaded:
    """Take a form with a field `file`; whatever is wrong with it is a 400."""
    services: Services = request.app.state.services
    services.admission.check_capacity("upload")
    try:
        stored = await services.uploads.take(request)
    except Problem as problem:
        if problem.is_client_error:
            problem.status = 400
        raise
    return Uploaded(id=stored.image_id, filename=stored.file_name, key=stored.key)
