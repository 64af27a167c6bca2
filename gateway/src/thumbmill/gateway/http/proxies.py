"""What a reverse proxy in front says of the request: whom we believe, and what follows.

From ``TRUSTED_PROXIES`` alone X-Forwarded-Proto, -Host, -Port and -Prefix are taken, of each the first value, which
is that of the proxy nearest to the client. They change the addresses in answers, and nothing else: the Host header
stays as it came, and X-Forwarded-For and Forwarded are not read, since nothing here depends on a client's address.
``PUBLIC_URL`` says all of it for good, so with it no header is looked at.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from thumbmill.gateway.urls import API, BASE

_HOST = re.compile(r"(?:[A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]{1,100}){1,10}")
_PORTS = {"http": "80", "https": "443"}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ForwardedHeaders:
    """An ASGI middleware: it sets ``root_path``, so that addresses below a prefix are found and written."""

    def __init__(self, app: ASGIApp, *, trusted: Iterable[str], public_url: str) -> None:
        self._app = app
        self._networks, self._everybody = parse_networks(trusted)
        self._public_url = public_url
        self._public_prefix = urlsplit(public_url).path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if self._public_url:
                set_prefix(scope, self._public_prefix)
            elif self._trusts(scope.get("client")):
                apply_forwarded_headers(scope)
        await self._app(scope, receive, send)

    def _trusts(self, client: tuple[str, int] | None) -> bool:
        if self._everybody:
            return True
        try:
            address = ipaddress.ip_address(client[0] if client else "")
        except ValueError:
            return False
        plain = getattr(address, "ipv4_mapped", None) or address  # as a socket for both kinds shows IPv4
        return any(plain in network for network in self._networks)


def parse_networks(words: Iterable[str]) -> tuple[list[Network], bool]:
    """Read addresses and networks; ``*`` is everybody. Raises ValueError."""
    words = list(words)
    return [ipaddress.ip_network(word, strict=False) for word in words if word != "*"], "*" in words


def apply_forwarded_headers(scope: Scope) -> None:
    """Have a request's scope say what the proxy says; what makes no sense is passed over."""
    headers = Headers(scope=scope)
    if (prefix := _first(headers, "x-forwarded-prefix").rstrip("/")) and _PREFIX.fullmatch(prefix):
        set_prefix(scope, prefix)
    scheme = _first(headers, "x-forwarded-proto").lower()
    if scheme in _PORTS:
        scope["scheme"] = scheme
    host = _first(headers, "x-forwarded-host")
    if not _HOST.fullmatch(host):
        return
    port = _first(headers, "x-forwarded-port")
    if not re.search(r":[0-9]+$", host) and port.isdecimal() and port != _PORTS.get(scope["scheme"]):
        host = f"{host}:{port}"
    scope[BASE] = f"{scope['scheme']}://{host}{scope.get('root_path', '')}"


def set_prefix(scope: Scope, prefix: str) -> None:
    """Put the application below a prefix, whether the proxy has taken it off the path or not."""
    if not prefix:
        return
    path = scope["path"]
    if path == prefix or (path.startswith(f"{prefix}/") and not path.startswith(f"{API}/")):
        path = path[len(prefix) :] or "/"
    scope["root_path"] = prefix
    scope["path"] = prefix + path  # as ASGI has it


def _first(headers: Mapping[str, str], name: str) -> str:
    return headers.get(name, "").partition(",")[0].strip()
