"""Sign and verify links: ``/i/<key of the variant>?e=<expiry>&k=<key id>&s=<signature>``."""

import hmac
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from thumbmill.gateway.links.signing_keys import SigningKeys
from thumbmill.gateway.problems import Code, Problem

PREFIX = "/i/"
_SCHEME = "v1"  # another number for another text that is signed
_SIGNATURE_BYTES = 16  # half of a SHA-256, as RFC 2104 allows: 22 characters
# Only this spelling: each other one that is valid would be another entry of a cache.
_QUERY = re.compile(rb"e=([1-9][0-9]{0,10})&k=([A-Za-z0-9_-]{1,32})&s=([A-Za-z0-9_-]{22})")


@dataclass(frozen=True)
class SignedLink:
    """A link without the base of its URL."""

    path: str
    expires_at: datetime


class LinkSigner:
    """Signs links with the first key, and verifies those of all keys.

    The signature covers the object's key and the expiry, so a link opens one variant of one content, at any host
    name. It needs no database: whoever has the link has access until it expires.
    """

    def __init__(self, keys: SigningKeys, window_seconds: int, *, clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._window = window_seconds
        self._clock = clock

    @property
    def period(self) -> str:
        """A text that changes when the links of the default lifetime change."""
        return f"{round_expiry(self._clock(), self._window, self._window)}-{next(iter(self._keys.read()))}"

    def sign(self, key: str, lifetime: int | None = None) -> SignedLink:
        """Return a link to the variant with this key, valid for at least this many seconds."""
        expiry = round_expiry(self._clock(), lifetime or self._window, self._window)
        key_id, secret = next(iter(self._keys.read().items()))
        path = f"{PREFIX}{key}?e={expiry}&k={key_id}&s={_signature(secret, key, expiry)}"
        return SignedLink(path, datetime.fromtimestamp(expiry, UTC))

    def verify(self, key: str, query: bytes) -> int:
        """Return the time at which a link expires. Raise Problem: invalid_signature, or link_expired."""
        found = _QUERY.fullmatch(query)
        if found is None:
            raise Problem(Code.INVALID_SIGNATURE)
        expiry, key_id, signature = int(found[1]), found[2].decode(), found[3].decode()
        secret = self._keys.read().get(key_id)
        if secret is None or not hmac.compare_digest(signature, _signature(secret, key, expiry)):
            raise Problem(Code.INVALID_SIGNATURE)
        if expiry <= self._clock():
            raise Problem(Code.LINK_EXPIRED)
        return expiry


def round_expiry(now: float, lifetime: int, window: int) -> int:
    """Return the end of the window in which a lifetime ends, so that all links of one window are equal.

    A link is valid for at least its lifetime, and for less than a window longer. A window is no longer than the
    lifetime, or a link for a minute would be valid for a day.
    """
    window = min(window, lifetime)
    return (int(now + lifetime) // window + 1) * window


def _signature(secret: bytes, key: str, expiry: int) -> str:
    text = f"{_SCHEME}\n{key}\n{expiry}".encode(errors="replace")
    return urlsafe_b64encode(hmac.digest(secret, text, "sha256")[:_SIGNATURE_BYTES]).rstrip(b"=").decode()
