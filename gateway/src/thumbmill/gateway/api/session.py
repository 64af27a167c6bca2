"""The session of a browser: an API key is exchanged for a cookie."""

from datetime import UTC, datetime

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field, SecretStr

from thumbmill.gateway.api import openapi
from thumbmill.gateway.api.dependencies import ClientDep, ServicesDep, require_own_page
from thumbmill.gateway.api.route_scopes import PUBLIC
from thumbmill.gateway.http.request_body import read_json
from thumbmill.gateway.http.session_cookie import delete_cookie, set_cookie
from thumbmill.gateway.images.models import Time
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.urls import API, base_url

router = APIRouter(prefix=f"{API}/session", tags=["session"], dependencies=[PUBLIC])


class SessionRequest(BaseModel):
    """The API key that opens a session."""

    key: SecretStr = Field(description="An API key")


class SessionOut(BaseModel):
    """Whether this client may use the API."""

    key_required: bool = Field(description="Whether the API needs a key or a session")
    authenticated: bool = Field(description="Whether this client has access")
    expires_at: Time | None = Field(description="End of the session; null without one")


@router.get("")
async def get_session(response: Response, services: ServicesDep, client: ClientDep) -> SessionOut:
    """Get whether a key is needed, and whether this client has access. This endpoint needs no key."""
    response.headers["Cache-Control"] = "no-store"
    return SessionOut(
        key_required=not services.authenticator.allows_anonymous,
        authenticated=client is not None,
        expires_at=client.session_expires_at if client else None,
    )


@router.post(
    "",
    openapi_extra=openapi.json_body(SessionRequest),
    responses=openapi.SESSION,
    dependencies=[Depends(require_own_page)],
)
async def open_session(request: Request, response: Response, services: ServicesDep) -> SessionOut:
    """Exchange an API key for a cookie, with which a browser has access until `expires_at`.

    Requests that change something accept the cookie only from pages of the gateway itself. A session ends earlier
    with its key.
    """
    wanted = await read_json(request, SessionRequest)
    response.headers["Cache-Control"] = "no-store"
    authenticator, text, now = services.authenticator, wanted.key.get_secret_value(), datetime.now(UTC)
    key = authenticator.find_key(text, now)
    if key is None:
        if authenticator.identify(text, (), now) is None:
            raise Problem(Code.UNAUTHORIZED)
        return SessionOut(key_required=False, authenticated=True, expires_at=None)
    token, expires_at = authenticator.sessions.open(key, now)
    set_cookie(response, base_url(request, services.settings.public_url), token, expires_at)
    return SessionOut(key_required=not authenticator.allows_anonymous, authenticated=True, expires_at=expires_at)


@router.delete("", status_code=204, dependencies=[Depends(require_own_page)])
async def close_session(request: Request, response: Response, services: ServicesDep) -> None:
    """Delete the cookie."""
    delete_cookie(response, base_url(request, services.settings.public_url))
