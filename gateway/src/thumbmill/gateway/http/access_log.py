"""One line and one measurement for each request, and an answer where a handler failed."""

import time
from typing import Any

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thumbmill.core.errors import DependencyUnavailable
from thumbmill.gateway.metrics import REQUESTS
from thumbmill.gateway.problems import Code, Problem

log = structlog.get_logger()

CLIENT_CLOSED_REQUEST = 499  # the client left: nobody sees this status but the log
_READS = {"GET", "HEAD", "OPTIONS"}


class AccessLog:
    """An ASGI middleware; writes are news, reads are not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, note_status)
        except ClientDisconnect:
            status = CLIENT_CLOSED_REQUEST
        except Exception as error:
            if status and isinstance(
                error.__cause__, DependencyUnavailable
            ):  # what Starlette makes of it in mid-answer
                log.warning("answer_broken_off", path=scope["path"], error=str(error.__cause__))
                return
            log.exception("request_failed", method=scope["method"], path=scope["path"])
            if status:
                raise  # half an answer is out: breaking off is all that is left
            await Problem(Code.INTERNAL_ERROR).response()(scope, receive, note_status)
        finally:
            _report(scope, status, time.perf_counter() - began)


def _report(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "none")
    REQUESTS.labels(scope["method"], route, status).observe(seconds)
    fields: dict[str, Any] = {
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "ms": round(seconds * 1000, 1),
    }
    if scope["method"] in _READS and status < 500:
        log.debug("request", **fields)
    else:
        log.info("request", **fields)
