"""The cookie of a browser's session.

``EventSource`` and ``<img>`` send no headers of their own, and a key in a URL would end up in logs and histories.
"""

from datetime import datetime
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.responses import Response

from thumbmill.gateway.urls import base_url

COOKIE = "thumbmill_session"
MAX_TOKENS = 10  # that are checked, each against every key


def read_tokens(connection: HTTPConnection, public_url: str) -> list[str]:
    """Return the session tokens of a request.

    A browser sends several where another path or a sibling domain has set a cookie of the same name.
    """
    name = _name(base_url(connection, public_url))
    pairs = (pair.partition("=") for line in connection.headers.getlist("cookie") for pair in line.split(";"))
    return [value.strip() for key, _, value in pairs if key.strip() == name][:MAX_TOKENS]


def set_cookie(response: Response, own_url: str, token: str, expires_at: datetime) -> None:
    """Store a session's token in the browser until it expires."""
    response.set_cookie(
        _name(own_url), token, expires=expires_at, secure=_is_https(own_url), httponly=True, samesite="strict"
    )


def delete_cookie(response: Response, own_url: str) -> None:
    """Remove the token from the browser."""
    response.delete_cookie(_name(own_url), secure=_is_https(own_url), httponly=True, samesite="strict")


def _name(own_url: str) -> str:
    """Return the cookie's name. With HTTPS, its prefix makes browsers accept it from this host alone."""
    return f"__Host-{COOKIE}" if _is_https(own_url) else COOKIE


def _is_https(own_url: str) -> bool:
    return urlsplit(own_url).scheme == "https"
