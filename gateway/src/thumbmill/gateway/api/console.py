"""The web console under `/ui/`, to which `/` leads. A gateway without it leads to the API docs.

Its files are public. What they show comes from the API, which checks the client.
"""

from fastapi import FastAPI, Request
from starlette.responses import RedirectResponse, Response

from thumbmill.gateway.api.route_scopes import PUBLIC
from thumbmill.gateway.web_console import PREFIX, Console


def add_console(app: FastAPI, console: Console | None) -> None:
    """Add the routes of the console, if there is one, and the route that `/` leads to."""

    async def redirect(request: Request) -> RedirectResponse:
        return RedirectResponse(f"{request.scope.get('root_path', '')}{PREFIX if console else '/docs'}")

    app.add_api_route("/", redirect, dependencies=[PUBLIC], include_in_schema=False)
    if console is None:
        return

    async def get_file(request: Request, path: str) -> Response:
        return console.respond(request, path)

    app.add_api_route(PREFIX.rstrip("/"), redirect, dependencies=[PUBLIC], include_in_schema=False)
    app.add_api_route(f"{PREFIX}{{path:path}}", get_file, dependencies=[PUBLIC], include_in_schema=False)
