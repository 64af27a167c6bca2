"""API keys as the gateway knows them: without their texts."""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from thumbmill.gateway.access.principal import Principal


@dataclass(frozen=True)
class Key:
    """A key, and who may use it."""

    id: str
    digest: bytes
    principal: Principal
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class StaticKeys:
    """The keys in ``API_KEYS``. They have all scopes, and end when they are removed from the settings."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._keys = {key.id: key for key in map(_make_key, texts)}

    def find(self, text: str) -> Key | None:
        """Return the key with this text. All are compared, so that the response time reveals nothing."""
        digest = _digest(text)
        found = [key for key in self._keys.values() if hmac.compare_digest(digest, key.digest)]
        return found[0] if found else None

    def get(self, key_id: str) -> Key | None:
        return self._keys.get(key_id)


def is_same(text: str, other: str) -> bool:
    """Return whether two texts are equal, in constant time."""
    return hmac.compare_digest(_digest(text), _digest(other))


def _make_key(text: str) -> Key:
    digest = _digest(text)
    key_id = digest.hex()[:16]  # a name from which the key cannot be derived
    return Key(key_id, digest, Principal(key_id, key_id=key_id))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()
