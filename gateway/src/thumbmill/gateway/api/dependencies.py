"""Dependencies of the routes: the services of the application, and the checks of API key and session.

All of them are coroutines: FastAPI runs plain functions in a thread pool.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from thumbmill.core.contracts.limits import Policy
from thumbmill.gateway.access.principal import Client, Principal, Scope
from thumbmill.gateway.container import Services
from thumbmill.gateway.http.origin_policy import SAFE_METHODS, is_cross_origin_write, is_own_page
from thumbmill.gateway.http.session_cookie import COOKIE, read_tokens
from thumbmill.gateway.limits.limiter import limits_of
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.urls import Links, base_url, links_of

_API_KEY = APIKeyHeader(name="X-API-Key", auto_error=False, description="An API key")
_BEARER = HTTPBearer(auto_error=False, description="An API key")
_COOKIE = APIKeyCookie(name=COOKIE, auto_error=False, description="Session of a browser (`POST /api/v1/session`)")


async def get_services(request: Request) -> Services:
    """Return the services of the application."""
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(get_services)]


async def identify_client(
    request: Request,
    services: ServicesDep,
    api_key: Annotated[str | None, Security(_API_KEY)] = None,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)] = None,
    _: Annotated[str | None, Security(_COOKIE)] = None,  # for the API docs: over HTTPS the name has a prefix
) -> Client | None:
    """Return the client that sends a request, or None if it has no access. A key is preferred to a session."""
    key = api_key or (bearer.credentials if bearer else "")
    tokens = read_tokens(request, services.settings.public_url)
    return services.authenticator.identify(key, tokens, datetime.now(UTC))


ClientDep = Annotated[Client | None, Depends(identify_client)]


async def get_access_check(services: ServicesDep, client: ClientDep) -> Callable[[], bool]:
    """Return whether the client of a long response still has access, for asking again and again."""
    return partial(services.authenticator.has_access, client)


AccessCheckDep = Annotated[Callable[[], bool], Depends(get_access_check)]


async def require_principal(request: Request, services: ServicesDep, client: ClientDep) -> Principal:
    """Return who sends a request. Raise Problem (401) without a valid key or session, if one is required."""
    if client is None:
        raise Problem(Code.UNAUTHORIZED)
    if client.session_expires_at and request.method not in SAFE_METHODS:
        _check_own_page(request, services)
    return client.principal


PrincipalDep = Annotated[Principal, Depends(require_principal)]


async def count_request(request: Request, services: ServicesDep, principal: PrincipalDep) -> None:
    """Count a request against its client's limits. Raise Problem (429) beyond them.

    Only routers depend on this: FastAPI calls a dependency again for each set of scopes that a route asks for.
    """
    limits = limits_of(request.scope)
    limits.client = principal
    services.limiter.charge(limits, Policy.REQUESTS)


async def links_for(request: Request, services: ServicesDep, principal: PrincipalDep) -> Links:
    """Return the URLs for a client: signed ones, too, if it may sign."""
    return links_of(request, services.link_signer if Scope.SIGN in principal.scopes else None)


LinksDep = Annotated[Links, Depends(links_for)]


async def require_own_page(request: Request, services: ServicesDep) -> None:
    """Raise Problem (403) if a page of another origin sends the request, even one that may use the API."""
    if request.headers.get("origin") or request.headers.get("sec-fetch-site"):
        _check_own_page(request, services)


async def reject_other_pages(request: Request, services: ServicesDep) -> None:
    """Raise Problem (403) for a page of an untrusted origin, also if it sends a GET that changes something."""
    if is_cross_origin_write("POST", request.headers, services.settings.trusted_origins):
        raise Problem(Code.CROSS_ORIGIN)


def _check_own_page(request: Request, services: Services) -> None:
    if not is_own_page(request.headers, base_url(request, services.settings.public_url)):
        raise Problem(Code.CROSS_ORIGIN, "a session can be used only by pages of the gateway itself")
