"""Checks before routing: the Host header, requests of other origins, and operator pages."""

from datetime import UTC, datetime

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from thumbmill.gateway.access.authenticator import Authenticator
from thumbmill.gateway.access.principal import Scope as KeyScope
from thumbmill.gateway.access.scopes import require_scopes
from thumbmill.gateway.http.origin_policy import is_allowed_host, is_cross_origin_write
from thumbmill.gateway.http.session_cookie import read_tokens
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.settings import Settings

# The pages that need a key, and which scopes.
OPERATOR_PATHS: dict[str, tuple[KeyScope, ...]] = {"/metrics": (KeyScope.ADMIN,), "/docs": (), "/openapi.json": ()}


class RequestGuard:
    """An ASGI middleware that rejects a request before its route is searched."""

    def __init__(self, app: ASGIApp, *, settings: Settings, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator
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
        return self._check_operator(path, request)

    def _check_operator(self, path: str, request: HTTPConnection) -> Problem | None:
        tokens = read_tokens(request, self._public_url)
        try:
            client = self._authenticator.identify_operator(request.headers, tokens, datetime.now(UTC))
            if client is None:
                return Problem(Code.UNAUTHORIZED, headers={"WWW-Authenticate": 'Basic realm="thumbmill"'})
            require_scopes(client.principal, OPERATOR_PATHS[path])
        except Problem as problem:
            return problem
        return None
