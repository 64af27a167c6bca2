"""What an upload may be, so that a client can check a file before it sends it."""

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from thumbmill.gateway.access.principal import Scope
from thumbmill.gateway.api.dependencies import ServicesDep
from thumbmill.gateway.api.route_scopes import needs
from thumbmill.gateway.http.media_types import EXTENSIONS, SUPPORTED
from thumbmill.gateway.urls import API

router = APIRouter(prefix=f"{API}/limits", tags=["upload"], dependencies=[needs(Scope.UPLOAD)])


class AcceptedFormat(BaseModel):
    """A format of images that can be uploaded."""

    content_type: str = Field(examples=["image/jpeg"])
    extension: str = Field(description="Of file names, without the dot", examples=["jpg"])


class Limits(BaseModel):
    """What an upload may be."""

    max_upload_bytes: int = Field(description="Maximum size of a file")
    formats: list[AcceptedFormat]


@router.get("")
async def get_limits(response: Response, services: ServicesDep) -> Limits:
    """Get the maximum size and the formats of uploads."""
    response.headers["Cache-Control"] = "private, max-age=300"
    return Limits(
        max_upload_bytes=services.settings.max_upload_bytes,
        formats=[AcceptedFormat(content_type=name, extension=EXTENSIONS[name]) for name in SUPPORTED],
    )
