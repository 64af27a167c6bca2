"""Every route declares the scope that it needs."""

import pytest
from fastapi import APIRouter

from thumbmill.gateway.access.principal import Principal, Scope
from thumbmill.gateway.access.scopes import require_scopes
from thumbmill.gateway.api.app import create_routes
from thumbmill.gateway.api.route_scopes import (
    PUBLIC,
    UndeclaredScopeError,
    check_declarations,
    needs,
)
from thumbmill.gateway.http.request_guard import OPERATOR_PATHS
from thumbmill.gateway.problems import Problem

GUARDED = {*OPERATOR_PATHS, "/docs/oauth2-redirect"}


def _with_route(**declared):
    app, router = create_routes(), APIRouter(prefix="/api/v1")

    @router.get("/new", **declared)
    async def get() -> str:
        return "anyone's"

    app.include_router(router)
    return app


def test_a_route_without_a_scope_stops_the_gateway():
    with pytest.raises(UndeclaredScopeError, match="GET /api/v1/new"):
        check_declarations(_with_route(), GUARDED)
    for declared in (PUBLIC, needs(Scope.READ)):
        check_declarations(_with_route(dependencies=[declared]), GUARDED)


def test_openapi_names_the_scope_of_each_route():
    paths = create_routes().openapi()["paths"]
    found = {
        (method, path): {scope for scheme in operation.get("security", []) for scope in next(iter(scheme.values()))}
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    assert found["post", "/api/v1/images"] == {"upload"}
    assert found["get", "/api/v1/images/{image_id}/variants/{type}"] == {"read"}
    assert found["delete", "/api/v1/images/{image_id}"] == {"delete"}
    assert found["post", "/api/v1/redrives"] == {"admin"}
    assert found["post", "/api/v1/images/{image_id}/links"] == {"sign"}
    public = {path for (_, path), scopes in found.items() if not scopes}
    assert public == {"/health", "/livez", "/readyz", "/api/v1/session", "/i/{key}"}


def test_a_missing_scope_is_named_in_the_challenge():
    reader = Principal("reader", scopes=frozenset({Scope.READ}))
    require_scopes(reader, [Scope.READ])
    with pytest.raises(Problem) as caught:
        require_scopes(reader, [Scope.DELETE])
    assert caught.value.status == 403
    assert caught.value.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope", scope="delete"'
