"""``Expect: 100-continue`` where the answer comes before the body was asked for."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class ExpectContinue:
    """An ASGI middleware: a connection is closed whose client may send its body still, or may not.

    The server says 100 Continue with the first ``receive``. Whoever is answered without may leave the body out (RFC
    9110, 10.1.1), so nobody could tell whether the next bytes are that body or the next request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or Headers(scope=scope).get("expect", "").lower() != "100-continue":
            await self._app(scope, receive, send)
            return
        continued = False

        async def ask_for_body() -> Message:
            nonlocal continued
            continued = True
            return await receive()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start" and not continued:
                message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
            await send(message)

        await self._app(scope, ask_for_body, answer)
