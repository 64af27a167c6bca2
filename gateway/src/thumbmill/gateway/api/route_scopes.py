"""The scope that each route needs, which every route has to declare."""

from collections.abc import Collection, Iterator
from typing import Any

from fastapi import Depends, FastAPI, Request, Security, params
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from fastapi.security import SecurityScopes

from thumbmill.gateway.access.principal import Scope
from thumbmill.gateway.access.scopes import require_scopes
from thumbmill.gateway.api.dependencies import require_principal


class UndeclaredScopeError(Exception):
    """A route says neither which scope it needs nor that it is public."""


async def check_scopes(needed: SecurityScopes, request: Request) -> None:
    """Raise Problem (403) unless the principal has every scope that the route needs; 401 if there is none."""
    require_scopes(await require_principal(request), [Scope(scope) for scope in needed.scopes])


async def _allow_everyone() -> None:
    pass


def needs(scope: Scope) -> Any:
    """Return the dependency of a route, or of all routes of a router, that need a scope."""
    return Security(check_scopes, scopes=[scope.value])


PUBLIC: Any = Depends(_allow_everyone)  # the dependency of a route that needs no key


def scopes_of_routes(app: FastAPI) -> Iterator[tuple[RouteContext, list[str]]]:
    """Yield the routes that OpenAPI describes and that are not public, with the scopes that each needs."""
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, APIRoute) and route.include_in_schema:
            for one in route.dependencies:
                if isinstance(one, params.Security) and one.dependency is check_scopes:
                    yield route, list(one.scopes or ())


def check_declarations(app: FastAPI, guarded: Collection[str]) -> None:
    """Raise UndeclaredScopeError if a route declares no scope.

    ``guarded``: paths that are checked before routing.
    """
    undeclared = sorted(
        f"{', '.join(sorted(route.methods or ()))} {route.path}"
        for route in iter_route_contexts(app.routes)
        if isinstance(route.original_route, APIRoute) and route.path not in guarded and not _declares(route)
    )
    if undeclared:
        raise UndeclaredScopeError(f"no scope is declared for: {'; '.join(undeclared)}")


def _declares(route: RouteContext) -> bool:
    dependencies: list[params.Depends] = route.dependencies
    return any(one.dependency in {check_scopes, _allow_everyone} for one in dependencies)
