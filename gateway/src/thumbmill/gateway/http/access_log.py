"""An access log line and a duration for each request, and a response if a handler failed."""

import time
from functools import cache
from typing import Any

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thumbmill.core.errors import DependencyUnavailable
from thumbmill.gateway.metrics import REQUEST_SECONDS
from thumbmill.gateway.problems import Code, Problem

log = structlog.get_logger()

CLIENT_CLOSED_REQUEST = 499  # nginx's status for a client that disconnected; only logs and metrics show it
_duration = cache(REQUEST_SECONDS.labels)  # labels() validates and locks; there are few combinations
_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class AccessLog:
    """An ASGI middleware. Successful reads are logged at level debug only."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, is_live = 0, False

        async def record_status(message: Message) -> None:
            nonlocal status, is_live
            if message["type"] == "http.response.start":
                status, is_live = message["status"], _is_live(message)
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, record_status)
        except ClientDisconnect:
            status = CLIENT_CLOSED_REQUEST
        except Exception as error:
            # Starlette wraps an error in this way once the response has started.
            if status and isinstance(error.__cause__, DependencyUnavailable):
                log.warning("response_aborted", path=scope["path"], error=str(error.__cause__))
                return
            log.exception("request_failed", method=scope["method"], path=scope["path"])
            if status:
                raise  # the response has started, so the connection can only be closed
            await Problem(Code.INTERNAL_ERROR).response()(scope, receive, record_status)
        finally:
            seconds = time.perf_counter() - started
            if not is_live:
                route = getattr(scope.get("route"), "path", "none")
                _duration(scope["method"], route, status).observe(seconds)
            _log_request(scope, status, seconds)


def _is_live(message: Message) -> bool:
    """Return whether a response is a stream, or waited for a change: its time says nothing about the gateway."""
    headers = Headers(raw=message["headers"])
    return "preference-applied" in headers or headers.get("content-type") == "text/event-stream"


def _log_request(scope: Scope, status: int, seconds: float) -> None:
    fields: dict[str, Any] = {
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "ms": round(seconds * 1000, 1),
    }
    if scope["method"] in _SAFE_METHODS and status < 500:
        log.debug("request", **fields)
    else:
        log.info("request", **fields)
