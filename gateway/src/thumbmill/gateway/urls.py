"""Addresses of our own, as clients reach them."""

import uuid
from urllib.parse import quote

from fastapi import Request

API = "/api/v1"
BASE = "thumbmill.base_url"  # in a request's scope: the address that a proxy says clients see


class Links:
    """Makes absolute URLs below one base."""

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/")

    def image(self, image_id: uuid.UUID) -> str:
        return f"{self._base}{API}/images/{image_id}"

    def variant(self, image_id: uuid.UUID, type_: str, content: str = "") -> str:
        """Address a variant; with its content's name, the answer may be kept for ever."""
        url = f"{self.image(image_id)}/variants/{quote(type_, safe='')}"
        return f"{url}?v={quote(content, safe='')}" if content else url


def links_of(request: Request) -> Links:
    """Take PUBLIC_URL, or else what a trusted proxy says, or else the address that the request came to."""
    public_url: str = request.app.state.services.settings.public_url
    return Links(public_url or request.scope.get(BASE) or str(request.base_url))
