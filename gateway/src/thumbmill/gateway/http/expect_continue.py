"""``Expect: 100-continue`` if the response is sent before the body is requested."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class ExpectContinue:
    """An ASGI middleware that closes the connection if it is unknown whether the client still sends its body.

    The server sends 100 Continue with the first ``receive``. A client that is answered without it may omit the body
    (RFC 9110, 10.1.1), so the next bytes could be that body or the next request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or Headers(scope=scope).get("expect", "").lower() != "100-continue":
            await self._app(scope, receive, send)
            return
        is_continued = False

        async def receive_body() -> Message:
            nonlocal is_continued
            is_continued = True
            return await receive()

        async def send_response(message: Message) -> None:
            if message["type"] == "http.response.start" and not is_continued:
                message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive_body, send_response)
