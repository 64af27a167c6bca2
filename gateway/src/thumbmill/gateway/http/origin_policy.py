"""Checks of the web page that sends a request, by the request's headers. Pure.

A page of any site can make its visitor's browser send requests to loopback or to the visitor's own network. Without
``API_KEYS``, nothing else prevents this.
"""

import ipaddress
import re
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # read only
_LABEL = re.compile(r"[a-z][a-z0-9_-]*")  # a name that starts with a digit may be an address
_HOST = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::\d*)?")


def is_allowed_host(host: str, allowed: Collection[str]) -> bool:
    """Return whether a Host header is allowed: an address, a name without a dot, or one of the allowed names.

    With DNS rebinding, a site's name resolves to the gateway. Its pages are then of the same origin, but the Host
    header has the site's name. Browsers do not resolve addresses, so these need no list. Neither do names of one
    label, such as a machine's or a container's: no top-level domain has an address (ICANN's SAC053).
    """
    match = _HOST.fullmatch(host.strip().lower())
    if match is None:
        return False
    name = (match["v6"] or match["name"]).rstrip(".")
    return name in allowed or name.endswith(".localhost") or bool(_LABEL.fullmatch(name)) or _is_address(name)


def is_cross_origin_write(method: str, headers: Mapping[str, str], trusted: Collection[str]) -> bool:
    """Return whether a page of an untrusted origin sends a request that changes something.

    The checks are those of Go's net/http.CrossOriginProtection. Browsers send the origin of a request as
    Sec-Fetch-Site, or as Origin if they are older or use plain HTTP. A client that sends neither is not a browser.
    """
    if method in SAFE_METHODS:
        return False
    site, origin = headers.get("sec-fetch-site", ""), headers.get("origin", "")
    if site in {"same-origin", "none"} or "*" in trusted or (origin and origin.lower() in trusted):
        return False
    if site:
        return True
    return bool(origin) and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()


def is_own_page(headers: Mapping[str, str], own_url: str) -> bool:
    """Return whether a page of the gateway itself sends a request.

    A cookie needs this for requests that change something: a browser adds cookies to the requests of other pages,
    too, and SameSite=Strict stops only those of other sites, not of another port or a neighbouring host name.
    """
    if site := headers.get("sec-fetch-site", ""):
        return site == "same-origin"
    own = urlsplit(own_url)
    return headers.get("origin", "").lower() == f"{own.scheme}://{own.netloc}".lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
