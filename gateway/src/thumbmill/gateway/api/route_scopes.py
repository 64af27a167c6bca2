"""The scope that each route needs, which every route has to declare."""

from collections.abc import Collection
from typing import Any

from fastapi import Depends, FastAPI, Security, params
from fastapi.routing import APIRoute, RouteContext, iter_route_contexts
from fastapi.security import SecurityScopes

from thumbmill.gateway.access.principal import Scope
from thumbmill.gateway.access.scopes import require_scopes
from thumbmill.gateway.api.dependencies import PrincipalDep


class UndeclaredScopeError(Exception):
    """A route says neither which scope it needs nor that it is public."""


async def check_scopes(needed: SecurityScopes, principal: PrincipalDep) -> None:
    """Raise Problem (403) unless the principal has every scope that the route needs."""
    require_scopes(principal, [Scope(scope) for scope in needed.scopes])


async def _allow_everyone() -> None:
    pass


def needs(scope: Scope) -> Any:
    """Return the dependency of a route, or of all routes of a router, that need a scope."""
    return Security(check_scopes, scopes=[scope.value])


PUBLIC: Any = Depends(_allow_everyone)  # the dependency of a route that needs no key


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
