"""Dependencies of the routes: the services of the application, and the checks of API key and session.

All of them are coroutines, since FastAPI runs plain functions in a thread pool. They call one another instead of
depending on one another: FastAPI would resolve a shared dependency again for each that has it, which took two
thirds of the time of a status request.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

from fastapi import Depends, Request

from thumbmill.core.contracts.limits import Policy
from thumbmill.gateway.access.principal import Client, Principal, Scope
from thumbmill.gateway.container import Services
from thumbmill.gateway.http.origin_policy import SAFE_METHODS, is_cross_origin_write, is_own_page
from thumbmill.gateway.http.session_cookie import read_tokens
from thumbmill.gateway.limits.limiter import limits_of
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.urls import Links, base_url, links_of


async def get_services(request: Request) -> Services:
    """Return the services of the application."""
    return services_of(request)


def services_of(request: Request) -> Services:
    """Return the services of the application."""
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(get_services)]


async def identify_client(request: Request) -> Client | None:
    """Return the client that sends a request, or None if it has no access. A key is preferred to a session."""
    if not hasattr(request.state, "client"):  # several dependencies of a route ask
        services = services_of(request)
        tokens = read_tokens(request, services.settings.public_url)
        now = datetime.now(UTC)
        request.state.client = services.authenticator.identify(_read_key(request.headers), tokens, now)
    client: Client | None = request.state.client
    return client


def _read_key(headers: Mapping[str, str]) -> str:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    return headers.get("x-api-key") or (credentials if scheme.lower() == "bearer" else "")


ClientDep = Annotated[Client | None, Depends(identify_client)]


async def get_access_check(request: Request) -> Callable[[], bool]:
    """Return whether the client of a long response still has access, for asking again and again."""
    return partial(services_of(request).authenticator.has_access, await identify_client(request))


AccessCheckDep = Annotated[Callable[[], bool], Depends(get_access_check)]


async def require_principal(request: Request) -> Principal:
    """Return who sends a request. Raise Problem (401) without a valid key or session, if one is required."""
    client = await identify_client(request)
    if client is None:
        raise Problem(Code.UNAUTHORIZED)
    if client.session_expires_at and request.method not in SAFE_METHODS:
        _check_own_page(request)
    return client.principal


PrincipalDep = Annotated[Principal, Depends(require_principal)]


async def count_request(request: Request) -> None:
    """Count a request against its client's limits. Raise Problem (429) beyond them.

    Only routers depend on this: FastAPI calls a dependency again for each set of scopes that a route asks for.
    """
    limits = limits_of(request.scope)
    limits.client = await require_principal(request)
    services_of(request).limiter.charge(limits, Policy.REQUESTS)


async def links_for(request: Request) -> Links:
    """Return the URLs for a client: signed ones, too, if it may sign. Raise as ``require_principal`` does."""
    principal = await require_principal(request)
    return links_of(request, services_of(request).link_signer if Scope.SIGN in principal.scopes else None)


LinksDep = Annotated[Links, Depends(links_for)]


async def require_own_page(request: Request) -> None:
    """Raise Problem (403) if a page of another origin sends the request, even one that may use the API."""
    if request.headers.get("origin") or request.headers.get("sec-fetch-site"):
        _check_own_page(request)


async def reject_other_pages(request: Request) -> None:
    """Raise Problem (403) for a page of an untrusted origin, also if it sends a GET that changes something."""
    if is_cross_origin_write("POST", request.headers, services_of(request).settings.trusted_origins):
        raise Problem(Code.CROSS_ORIGIN)


def _check_own_page(request: Request) -> None:
    if not is_own_page(request.headers, base_url(request, services_of(request).settings.public_url)):
        raise Problem(Code.CROSS_ORIGIN, "a session can be used only by pages of the gateway itself")
