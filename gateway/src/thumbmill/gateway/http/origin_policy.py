"""Which pages in somebody's browser may reach the gateway: pure functions on a request's headers.

A page of any site can have its visitor's browser send requests to loopback or the visitor's own network. Without
``API_KEYS`` nothing else stands in between.
"""

import ipaddress
import re
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})  # they change nothing
_LABEL = re.compile(r"[a-z][a-z0-9_-]*")  # what begins with a digit may be a number that is an address
_HOST = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(?::\d*)?")


def is_allowed_host(host: str, allowed: Collection[str]) -> bool:
    """Tell whether a Host field names us: an address, a name without a dot, or one of the allowed names.

    A site whose name is made to lead here (DNS rebinding) is of the same origin for its pages, but its name stands
    in the field. Browsers look up no addresses, so those need no list; nor do names of one label, such as a
    machine's or a container's on its own network, since no top-level domain has an address (ICANN's SAC053).
    """
    match = _HOST.fullmatch(host.strip().lower())
    if match is None:
        return False
    name = (match["v6"] or match["name"]).rstrip(".")
    return name in allowed or name.endswith(".localhost") or bool(_LABEL.fullmatch(name)) or _is_address(name)


def is_cross_origin_write(method: str, headers: Mapping[str, str], trusted: Collection[str]) -> bool:
    """Tell whether a page of another origin, not among the trusted ones, is about to change something.

    The order is that of Go's net/http.CrossOriginProtection: browsers say where a request comes from, in
    Sec-Fetch-Site, or older ones and those on plain HTTP in Origin; who says neither is no browser.
    """
    if method in SAFE_METHODS:
        return False
    site, origin = headers.get("sec-fetch-site", ""), headers.get("origin", "")
    if site in {"same-origin", "none"} or "*" in trusted or (origin and origin.lower() in trusted):
        return False
    if site:
        return True
    return bool(origin) and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
