"""HEAD for every GET route, and the allowed methods of a path (RFC 9110, 9.3.2, 9.3.7 and 15.5.6)."""

from collections.abc import Iterable

from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_IS_HEAD = "thumbmill.is_head"


class HeadAsGet:
    """An ASGI middleware that handles HEAD as GET and drops the body.

    Handlers can skip the work for the body: see ``is_head``.
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
            scope["route"] = inner.get("route")  # for the access log and the metrics


def is_head(request: HTTPConnection) -> bool:
    """Return whether only the headers of the response will be sent."""
    return bool(request.scope.get(_IS_HEAD))


def allowed_methods(routes: Iterable[BaseRoute], scope: Scope) -> list[str]:
    """Return the methods of the routes that match a request's path; [] if there is no route."""
    routes = list(routes)
    scope = {
        **scope,
        "root_path": scope.get("app_root_path", scope.get("root_path", "")),
    }  # not the root path of a mount
    methods = [method for method in _METHODS if _matches(routes, {**scope, "method": method})]
    if not methods:
        return []
    return [*methods, *(["HEAD"] if "GET" in methods else []), "OPTIONS"]


def _matches(routes: Iterable[BaseRoute], scope: Scope) -> bool:
    # Only static files are mounted, and a mount matches every method.
    candidates = (route for route in routes if scope["method"] == "GET" or not isinstance(route, Mount))
    return any(route.matches(scope)[0] == Match.FULL for route in candidates)
