"""The FastAPI application: routes, error handlers and middleware."""

from fastapi import Depends, FastAPI
from fastapi_offline import FastAPIOffline

from thumbmill.gateway import problems
from thumbmill.gateway.api import (
    companion,
    console,
    health,
    legacy,
    limits,
    links,
    live,
    openapi,
    operations,
    parts,
    routes,
    session,
)
from thumbmill.gateway.api.dependencies import count_request
from thumbmill.gateway.api.parameters import reject_unknown_parameters
from thumbmill.gateway.api.route_scopes import check_declarations
from thumbmill.gateway.container import Services
from thumbmill.gateway.http.access_log import AccessLog
from thumbmill.gateway.http.cors import ApiCors
from thumbmill.gateway.http.expect_continue import ExpectContinue
from thumbmill.gateway.http.forwarded_headers import ForwardedHeaders
from thumbmill.gateway.http.methods import HeadAsGet
from thumbmill.gateway.http.request_guard import OPERATOR_PATHS, RequestGuard
from thumbmill.gateway.limits.limiter import RateLimitFields

_DESCRIPTION = """
Upload images, follow their processing, and download thumbnails.

Errors are RFC 9457 problems (`application/problem+json`) with a stable `code`. Every GET endpoint supports HEAD.
"""


# Headers that scripts of a page may read, in addition to the safelisted ones (Cache-Control, Content-Type, …).
_EXPOSED_HEADERS = (
    "Allow",
    "Content-Disposition",
    "ETag",
    "Idempotent-Replayed",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "WWW-Authenticate",
)


def create_routes() -> FastAPI:
    """Return the application with its routes only, as OpenAPI describes it; it can answer no request."""
    # FastAPIOffline serves the scripts of the API docs itself: many installations cannot reach a CDN.
    app = FastAPIOffline(
        redoc_url=None, title="Thumbmill", description=_DESCRIPTION, version="1", redirect_slashes=False
    )
    checks = [Depends(count_request), Depends(reject_unknown_parameters)]
    app.include_router(routes.uploads, dependencies=checks, responses=openapi.COMMON)
    app.include_router(routes.images, dependencies=checks, responses=openapi.COMMON)
    app.include_router(operations.router, dependencies=checks, responses=openapi.COMMON)
    app.include_router(limits.router, dependencies=checks, responses=openapi.COMMON)
    app.include_router(parts.router, dependencies=checks, responses=openapi.COMMON)
    app.include_router(companion.router, dependencies=checks[:1], responses=openapi.COMMON)
    app.include_router(live.router, dependencies=checks, responses=openapi.COMMON)
    app.include_router(legacy.router, dependencies=checks[:1], responses=openapi.COMMON)
    app.include_router(session.router, dependencies=checks[1:], responses=openapi.COMMON)
    app.include_router(links.router, dependencies=checks, responses=openapi.COMMON)
    app.include_router(links.public)
    app.include_router(health.router)
    openapi.describe(app)
    return app


def create_app(services: Services) -> FastAPI:
    """Return the application. The caller created the services and closes them.

    Raise UndeclaredScopeError if a route declares no scope.
    """
    app = create_routes()
    app.state.services = services
    problems.install_handlers(app)
    console.add_console(app, services.console)
    check_declarations(app, {*OPERATOR_PATHS, "/docs/oauth2-redirect"})
    app.add_middleware(HeadAsGet)
    app.add_middleware(RateLimitFields)
    app.add_middleware(RequestGuard, settings=services.settings, authenticator=services.authenticator)
    app.add_middleware(ForwardedHeaders, trusted=services.settings.proxies, public_url=services.settings.public_url)
    app.add_middleware(AccessLog)
    app.add_middleware(ExpectContinue)
    if services.settings.origins:  # added last, so that it is the outermost and errors carry its headers too
        app.add_middleware(
            ApiCors,
            allow_origins=services.settings.origins,
            allow_methods=["GET", "HEAD", "POST", "DELETE"],
            # Any header: origin and key decide what a page may do, and every upload widget has headers of its own.
            allow_headers=["*"],
            expose_headers=_EXPOSED_HEADERS,
        )
    return app
