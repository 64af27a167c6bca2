"""Health endpoints and metrics."""

from contextlib import suppress
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

from thumbmill.gateway.access.principal import Scope
from thumbmill.gateway.api.dependencies import ServicesDep
from thumbmill.gateway.api.route_scopes import PUBLIC
from thumbmill.gateway.container import Services
from thumbmill.gateway.http.session_cookie import read_tokens
from thumbmill.gateway.problems import Problem

router = APIRouter(tags=["health"], dependencies=[PUBLIC])


@router.get("/health", summary="Check that the gateway answers")
async def health() -> dict[str, str]:
    """Return a constant; no dependency is checked."""
    return {"status": "ok"}


@router.get("/livez", summary="Liveness probe", responses={503: {"description": "The gateway has to be restarted"}})
async def livez(services: ServicesDep) -> JSONResponse:
    """Return 503 if only a restart of the gateway helps."""
    error = services.liveness.failure
    return JSONResponse({"status": "stuck", "error": error}, 503) if error else JSONResponse({"status": "ok"})


@router.get("/readyz", summary="Readiness probe", responses={503: {"description": "A dependency is unavailable"}})
async def readyz(request: Request, services: ServicesDep) -> JSONResponse:
    """Return 503 if a dependency is unavailable.

    `unavailable` has the errors by dependency, and `degraded` those of dependencies that only tickets and retries
    need. If API keys are required, these details require one with the scope `admin`.
    """
    report = await services.readiness.check()
    status = {"status": "not ready" if report.unavailable else "ok"}
    is_operator = _is_operator(request, services)
    details = {"unavailable": report.unavailable, "degraded": report.degraded} if is_operator else {}
    return JSONResponse({**status, **details}, 503 if report.unavailable else 200)


def _is_operator(request: Request, services: Services) -> bool:
    tokens = read_tokens(request, services.settings.public_url)
    with suppress(Problem):  # the keys are not known, and the probe still wants an answer
        client = services.authenticator.identify_operator(request.headers, tokens, datetime.now(UTC))
        return client is not None and client.principal.has(Scope.ADMIN)
    return False


@router.get("/metrics", include_in_schema=False)
async def metrics() -> Response:
    """Return the metrics in the format of Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
