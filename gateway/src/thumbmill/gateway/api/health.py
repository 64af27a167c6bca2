"""Health endpoints and metrics."""

from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

from thumbmill.gateway.api.dependencies import ServicesDep
from thumbmill.gateway.api.route_scopes import PUBLIC
from thumbmill.gateway.http.session_cookie import read_tokens

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
    need. If API keys are set, these details require a key.
    """
    report = await services.readiness.check()
    status = {"status": "not ready" if report.unavailable else "ok"}
    tokens = read_tokens(request, services.settings.public_url)
    is_operator = services.api_keys.verify_operator(request.headers, tokens)
    details = {"unavailable": report.unavailable, "degraded": report.degraded} if is_operator else {}
    return JSONResponse({**status, **details}, 503 if report.unavailable else 200)


@router.get("/metrics", include_in_schema=False)
async def metrics() -> Response:
    """Return the metrics in the format of Prometheus."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
