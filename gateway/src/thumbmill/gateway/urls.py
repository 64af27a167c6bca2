"""URLs of the gateway as clients see them."""

import uuid
from urllib.parse import quote

from fastapi import Request
from starlette.requests import HTTPConnection

from thumbmill.gateway.links.signer import LinkSigner

API = "/api/v1"
BASE = "thumbmill.base_url"  # key in the ASGI scope: the base URL according to a trusted proxy


class Links:
    """Absolute URLs below one base URL."""

    def __init__(self, base: str, signer: LinkSigner | None = None) -> None:
        self.base = base.rstrip("/")
        self._signer = signer  # only for a client that may sign

    @property
    def period(self) -> str:
        """A text that changes when the signed URLs change; "" without any."""
        return self._signer.period if self._signer else ""

    @property
    def api(self) -> str:
        return f"{self.base}{API}"

    def image(self, image_id: uuid.UUID) -> str:
        return f"{self.base}{API}/images/{image_id}"

    def upload(self, image_id: uuid.UUID, step: str, upload_id: str) -> str:
        """Return the URL of a step (``parts`` or ``complete``) of a resumable upload."""
        return f"{self.base}{API}/uploads/{image_id}/{step}?upload_id={quote(upload_id, safe='')}"

    def variant(self, image_id: uuid.UUID, type_: str, content_id: str = "") -> str:
        """Return the URL of a variant. With a content id, the response can be cached forever."""
        url = f"{self.image(image_id)}/variants/{quote(type_, safe='')}"
        return f"{url}?v={quote(content_id, safe='')}" if content_id else url

    def signed(self, key: str) -> str | None:
        """Return the signed URL of the variant with this key, if the client may sign."""
        return self.base + self._signer.sign(key).path if self._signer else None


def base_url(connection: HTTPConnection, public_url: str) -> str:
    """Return PUBLIC_URL, the URL that a trusted proxy reported, or the URL of the request, without its path."""
    return public_url or connection.scope.get(BASE) or str(connection.base_url)


def links_of(request: Request, signer: LinkSigner | None = None) -> Links:
    """Return links below the gateway's base URL; ``signer`` for a client that may sign."""
    return Links(base_url(request, request.app.state.services.settings.public_url), signer)
