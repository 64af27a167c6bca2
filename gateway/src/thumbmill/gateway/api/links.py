"""Signed links: the route that serves them to everyone, and the one that makes them."""

import uuid
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from thumbmill.core.contracts.status import Status
from thumbmill.gateway.access.principal import Scope
from thumbmill.gateway.api import openapi
from thumbmill.gateway.api.dependencies import PrincipalDep, ServicesDep
from thumbmill.gateway.api.route_scopes import PUBLIC, needs
from thumbmill.gateway.http.request_body import read_json
from thumbmill.gateway.images.models import Time
from thumbmill.gateway.images.presenter import available_variants
from thumbmill.gateway.images.states import TERMINAL
from thumbmill.gateway.links.signer import PREFIX
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.urls import API, links_of

public = APIRouter(tags=["links"], dependencies=[PUBLIC])  # a link is all that its client needs
router = APIRouter(prefix=f"{API}/images", tags=["links"], dependencies=[needs(Scope.SIGN)])

_QUERY: dict[str, Any] = {
    "parameters": [
        {"name": name, "in": "query", "required": True, "description": text, "schema": {"type": "string"}}
        for name, text in (("e", "Expiry, seconds since 1970"), ("k", "Id of the key"), ("s", "Signature"))
    ]
}


class LinksRequest(BaseModel):
    """How long links are needed."""

    expires_in: int | None = Field(
        None,
        ge=1,
        le=31_536_000,
        description="Seconds for which the links are valid at least; at most twice as long, so that equal requests "
        "get equal links; default: `SIGNED_URL_WINDOW_SECONDS`",
    )


class LinkOut(BaseModel):
    """A link to one variant."""

    type: str = Field(description="Name of the preset", examples=["thumbnail"])
    url: str


class LinksOut(BaseModel):
    """Links to the variants of an image."""

    id: uuid.UUID
    expires_at: Time
    links: list[LinkOut]


@public.get(PREFIX + "{key:path}", response_class=Response, openapi_extra=_QUERY, responses=openapi.LINK)
async def get_link(request: Request, services: ServicesDep, key: str) -> Response:
    """Download a variant by a signed link, `/i/<image>/<content>/<variant>.<ext>`, without a key."""
    return await services.links.respond(request, key)


@router.post(
    "/{image_id}/links", openapi_extra=openapi.json_body(LinksRequest, required=False), responses=openapi.LINKS
)
async def create_links(
    request: Request, response: Response, services: ServicesDep, principal: PrincipalDep, image_id: uuid.UUID
) -> LinksOut:
    """Sign links to all variants of an image, for a time of your choice."""
    signer = services.link_signer
    if signer is None:
        raise Problem(Code.LINKS_OFF)
    wanted = await read_json(request, LinksRequest)
    row = await services.lookup.find(image_id, principal.tenant)
    if row.status == Status.DELETED:
        raise Problem(Code.GONE)
    variants = available_variants(row)
    if not variants:
        is_final = row.status in TERMINAL and not row.missing
        raise Problem(Code.VARIANT_NOT_FOUND if is_final else Code.NOT_READY, f"the image is {row.status}")
    base = links_of(request).base
    signed = [(variant.type, signer.sign(variant.key, wanted.expires_in)) for variant in variants]
    response.headers["Cache-Control"] = "no-store"
    return LinksOut(
        id=row.id,
        expires_at=min(link.expires_at for _, link in signed),
        links=[LinkOut(type=type_, url=base + link.path) for type_, link in signed],
    )
