"""The application: routes, problems, middleware, put together."""

from fastapi import Depends, FastAPI, Request
from fastapi_offline import FastAPIOffline
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import RedirectResponse

from thumbmill.gateway import health, problems
from thumbmill.gateway.api import legacy, routes
from thumbmill.gateway.api.openapi import ANYWHERE
from thumbmill.gateway.api.parameters import reject_unknown_parameters
from thumbmill.gateway.auth import require_key
from thumbmill.gateway.container import Services
from thumbmill.gateway.http.access_log import AccessLog
from thumbmill.gateway.http.expect_continue import ExpectContinue
from thumbmill.gateway.http.methods import HeadAsGet
from thumbmill.gateway.http.proxies import ForwardedHeaders
from thumbmill.gateway.http.request_guard import RequestGuard

_ABOUT = """
Upload pictures, follow them to their thumbnails.

Errors are RFC 9457 problems (`application/problem+json`) with a stable `code`. Where GET is answered, HEAD is.
"""


# What a page's script may read beside what browsers show anyway (Cache-Control, Content-Length, Content-Type, …).
_EXPOSED = ("Allow", "Content-Disposition", "ETag", "Location", "Retry-After", "WWW-Authenticate")


def create_app(services: Services) -> FastAPI:
    """Put the application together from services that are built and will be closed by the caller."""
    # Its documentation brings its scripts along: many who host this themselves have no way out to a CDN.
    app = FastAPIOffline(redoc_url=None, title="Thumbmill", description=_ABOUT, version="1", redirect_slashes=False)
    app.state.services = services
    problems.install_handlers(app)
    checks = [Depends(require_key), Depends(reject_unknown_parameters)]
    app.include_router(routes.router, dependencies=checks, responses=ANYWHERE)
    app.include_router(legacy.router, dependencies=checks[:1], responses=ANYWHERE)
    app.include_router(health.router)
    app.add_api_route("/", _go_to_docs, include_in_schema=False)
    app.add_middleware(HeadAsGet)
    app.add_middleware(RequestGuard, settings=services.settings, api_keys=services.api_keys)
    app.add_middleware(ForwardedHeaders, trusted=services.settings.proxies, public_url=services.settings.public_url)
    app.add_middleware(AccessLog)
    app.add_middleware(ExpectContinue)
    if services.settings.origins:  # added last, so that it is outermost, and failures carry its headers too
        app.add_middleware(
            CORSMiddleware,
            allow_origins=services.settings.origins,
            allow_methods=["GET", "HEAD", "POST", "DELETE"],
            # Any: what a page may do is decided by its origin and its key, and every upload widget has its own.
            allow_headers=["*"],
            expose_headers=_EXPOSED,
        )
    return app


async def _go_to_docs(request: Request) -> RedirectResponse:
    return RedirectResponse(f"{request.scope.get('root_path', '')}/docs")
