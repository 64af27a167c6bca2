"""The web console under `/ui/`, to which `/` leads. A gateway without it leads to the API docs.

Its files are public. What they show comes from the API, which checks the client.
"""

from fastapi import FastAPI, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from thumbmill.gateway.api.route_scopes import PUBLIC
from thumbmill.gateway.web_console import PREFIX, Console

NOT_BUILT = "This gateway was started without the web console. Run `make web`, then restart the gateway.\n"


def add_console(app: FastAPI, console: Console | None) -> None:
    """Add the routes of the console and the route that `/` leads to."""

    async def redirect(request: Request) -> RedirectResponse:
        return RedirectResponse(f"{request.scope.get('root_path', '')}{PREFIX if console else '/docs'}")

    async def get_file(request: Request, path: str) -> Response:
        return console.respond(request, path) if console else PlainTextResponse(NOT_BUILT, 404)

    async def add_slash(request: Request) -> RedirectResponse:
        return RedirectResponse(f"{request.scope.get('root_path', '')}{PREFIX}")

    for path, route in (("/", redirect), (PREFIX.rstrip("/"), add_slash), (f"{PREFIX}{{path:path}}", get_file)):
        app.add_api_route(path, route, dependencies=[PUBLIC], include_in_schema=False)
