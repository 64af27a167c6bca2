"""Checks before routing: the Host header, requests of other origins, and operator pages."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from thumbmill.gateway.auth import ApiKeys
from thumbmill.gateway.http.origin_policy import is_allowed_host, is_cross_origin_write
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.settings import Settings

_OPERATOR_PATHS = {"/metrics", "/docs", "/openapi.json"}


class RequestGuard:
    """An ASGI middleware that rejects a request before its route is searched."""

    def __init__(self, app: ASGIApp, *, settings: Settings, api_keys: ApiKeys) -> None:
        self._app = app
        self._api_keys = api_keys
        self._allowed_hosts = settings.hosts
        self._trusted_origins = settings.trusted_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        problem = self._check(scope["method"], path, Headers(scope=scope))
        answer: ASGIApp = self._app if problem is None else problem.response()
        await answer(scope, receive, send)

    def _check(self, method: str, path: str, headers: Headers) -> Problem | None:
        host = headers.get("host", "")
        if self._allowed_hosts is not None and host and not is_allowed_host(host, self._allowed_hosts):
            return Problem(Code.WRONG_HOST, f"{host[:100]!r} is not in ALLOWED_HOSTS")
        if is_cross_origin_write(method, headers, self._trusted_origins):
            return Problem(Code.CROSS_ORIGIN)
        if path in _OPERATOR_PATHS and not self._api_keys.verify_operator(headers):
            return Problem(Code.UNAUTHORIZED, headers={"WWW-Authenticate": 'Basic realm="thumbmill"'})
        return None
