"""Headers of a reverse proxy.

X-Forwarded-Proto, -Host, -Port and -Prefix are read only from ``TRUSTED_PROXIES``, and only the first value of
each, which is that of the proxy nearest to the client. They change only the URLs in responses: the Host header
stays as it is, and X-Forwarded-For and Forwarded are not read, because nothing here depends on a client's
address. With ``PUBLIC_URL``, none of these headers is read.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from thumbmill.gateway.urls import API, BASE

_HOST = re.compile(r"(?:[A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]{1,100}){1,10}")
_PORTS = {"http": "80", "https": "443"}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class ForwardedHeaders:
    """An ASGI middleware that sets ``root_path``, so that URLs below a prefix are routed and generated."""

    def __init__(self, app: ASGIApp, *, trusted: Iterable[str], public_url: str) -> None:
        self._app = app
        self._networks, self._trusts_all = parse_networks(trusted)
        self._is_trusted = lru_cache(1024)(self._trusts)
        self._public_url = public_url
        self._public_prefix = urlsplit(public_url).path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if self._public_url:
                set_prefix(scope, self._public_prefix)
            elif self._is_trusted((scope.get("client") or ("",))[0]):
                apply_forwarded_headers(scope)
        await self._app(scope, receive, send)

    def _trusts(self, host: str) -> bool:
        if self._trusts_all:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        plain = getattr(address, "ipv4_mapped", None) or address  # how a dual-stack socket shows IPv4
        return any(plain in network for network in self._networks)


def parse_networks(items: Iterable[str]) -> tuple[list[Network], bool]:
    """Return the networks and addresses, and whether ``*`` is among them. Raise ValueError."""
    items = list(items)
    return [ipaddress.ip_network(item, strict=False) for item in items if item != "*"], "*" in items


def apply_forwarded_headers(scope: Scope) -> None:
    """Apply the proxy's headers to the scope of a request, and skip invalid values."""
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
    """Set the path prefix of the application, whether or not the proxy has removed it from the path."""
    if not prefix:
        return
    path = scope["path"]
    if path == prefix or (path.startswith(f"{prefix}/") and not path.startswith(f"{API}/")):
        path = path[len(prefix) :] or "/"
    scope["root_path"] = prefix
    scope["path"] = prefix + path  # ASGI includes the root path


def _first(headers: Mapping[str, str], name: str) -> str:
    return headers.get(name, "").partition(",")[0].strip()
