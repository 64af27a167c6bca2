"""Checks before routing: the Host header, requests of other origins, and operator pages."""

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from thumbmill.gateway.auth import ApiKeys
from thumbmill.gateway.http.origin_policy import is_allowed_host, is_cross_origin_write
from thumbmill.gateway.http.session_cookie import read_tokens
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.settings import Settings

OPERATOR_PATHS = frozenset({"/metrics", "/docs", "/openapi.json"})


class RequestGuard:
    """An ASGI middleware that rejects a request before its route is searched."""

    def __init__(self, app: ASGIApp, *, settings: Settings, api_keys: ApiKeys) -> None:
        self._app = app
        self._api_keys = api_keys
        self._allowed_hosts = settings.hosts
        self._trusted_origins = settings.trusted_origins
        self._public_url = settings.public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        problem = self._check(path, HTTPConnection(scope))
        answer: ASGIApp = self._app if problem is None else problem.response()
        await answer(scope, receive, send)

    def _check(self, path: str, request: HTTPConnection) -> Problem | None:
        headers = request.headers
        host = headers.get("host", "")
        if self._allowed_hosts is not None and host and not is_allowed_host(host, self._allowed_hosts):
            return Problem(Code.WRONG_HOST, f"{host[:100]!r} is not in ALLOWED_HOSTS")
        if is_cross_origin_write(request.scope["method"], headers, self._trusted_origins):
            return Problem(Code.CROSS_ORIGIN)
        if path not in OPERATOR_PATHS:
            return None
        if not self._api_keys.verify_operator(headers, read_tokens(request, self._public_url)):
            return Problem(Code.UNAUTHORIZED, headers={"WWW-Authenticate": 'Basic realm="thumbmill"'})
        return None
