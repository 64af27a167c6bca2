"""API keys: who may call the API."""

import hashlib
import hmac
from base64 import b64decode
from collections.abc import Iterable, Mapping


class ApiKeys:
    """The keys that give access to the API. Without keys, access is anonymous."""

    def __init__(self, keys: Iterable[str], monitoring_key: str = "") -> None:
        self._digests = [_digest(key) for key in keys]
        self._operators = [*self._digests, *([_digest(monitoring_key)] if monitoring_key else [])]

    @property
    def allows_anonymous(self) -> bool:
        return not self._digests

    def client_name(self, key: str) -> str:
        """Return a name for the client with this key, from which the key cannot be derived; "" without keys."""
        return "" if self.allows_anonymous else _digest(key).hex()[:16]

    def verify(self, key: str) -> bool:
        """Return whether this is one of the keys."""
        return _is_among(key, self._digests)

    def verify_operator(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request may see operator data: metrics, API docs and the details of readiness.

        The key is sent as for the API, or as the password of Basic authentication, for which browsers prompt.
        """
        return not self._operators or _is_among(_key_in(headers), self._operators)


def _key_in(headers: Mapping[str, str]) -> str:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() == "basic":
        try:
            return b64decode(credentials).decode().partition(":")[2]
        except ValueError:
            return ""
    return headers.get("x-api-key", "")


def _is_among(key: str, digests: Iterable[bytes]) -> bool:
    """Compare with every key, each in constant time, so that the response time reveals nothing."""
    digest = _digest(key)
    return any([hmac.compare_digest(digest, known) for known in digests])  # noqa: C419 - compare all of them


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()
