"""HEAD wherever GET is, and which methods an address has (RFC 9110, 9.3.2, 9.3.7 and 15.5.6)."""

from collections.abc import Iterable

from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_IS_HEAD = "thumbmill.is_head"


class HeadAsGet:
    """An ASGI middleware that has GET answer a HEAD, and keeps the body back.

    Whoever answers can spare the work for a body that nobody sees: ``is_head`` tells.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        inner = {**scope, "method": "GET", _IS_HEAD: True}
        try:
            await self._app(inner, receive, send_head)
        finally:
            scope["route"] = inner.get("route")  # for the log and the metrics


def is_head(request: HTTPConnection) -> bool:
    """Tell whether only the headers of the answer will be seen."""
    return bool(request.scope.get(_IS_HEAD))


def allowed_methods(routes: Iterable[BaseRoute], scope: Scope) -> list[str]:
    """Return the methods that the address of a request answers to; [] where there is nothing."""
    routes = list(routes)
    whole = {**scope, "root_path": scope.get("app_root_path", scope.get("root_path", ""))}  # not that of a mount
    found = [method for method in _METHODS if _matches(routes, {**whole, "method": method})]
    if not found:
        return []
    return [*found, *(["HEAD"] if "GET" in found else []), "OPTIONS"]


def _matches(routes: Iterable[BaseRoute], scope: Scope) -> bool:
    # What is mounted are files, and says of no method that it lacks it.
    found = (route for route in routes if scope["method"] == "GET" or not isinstance(route, Mount))
    return any(route.matches(scope)[0] == Match.FULL for route in found)
