"""CORS for the API."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import Message, Send


class ApiCors(CORSMiddleware):
    """Leaves responses alone that every page may read, such as those of signed links.

    A shared cache stores one of them for all origins, and many ignore ``Vary``.
    """

    async def send(self, message: Message, send: Send, request_headers: Headers) -> None:
        """Send a message of a response, with the headers of CORS unless the route has set them."""
        is_start = message["type"] == "http.response.start"
        if is_start and "access-control-allow-origin" in Headers(raw=message["headers"]):
            await send(message)
        else:
            await super().send(message, send, request_headers)
