"""API keys, and the sessions that they open in a browser: who may call the API."""

import hashlib
import hmac
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

SESSION_LIFETIME = timedelta(days=7)
_SESSION_CONTEXT = b"thumbmill session 1"  # raise the number to end all sessions


@dataclass(frozen=True)
class Session:
    """A browser that was given access with an API key."""

    client: str  # the name of the key's client
    expires_at: datetime


class ApiKeys:
    """The keys that give access to the API. Without keys, access is anonymous.

    A session's token is its expiry and an HMAC of it under a secret derived from the API key. So every gateway
    accepts it, nothing is stored, and it ends when the key is removed.
    """

    def __init__(self, keys: Iterable[str], monitoring_key: str = "") -> None:
        keys = list(keys)
        self._digests = [_digest(key) for key in keys]
        self._session_secrets = {self.client_name(key): _session_secret(key) for key in keys}
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

    def verify_operator(self, headers: Mapping[str, str], session_tokens: Iterable[str] = ()) -> bool:
        """Return whether a request may see operator data: metrics, API docs and the details of readiness.

        The key is sent as for the API, or as the password of Basic authentication, for which browsers prompt.
        """
        if not self._operators or _is_among(_key_in(headers), self._operators):
            return True
        return self.find_session(session_tokens, datetime.now(UTC)) is not None

    def open_session(self, key: str, now: datetime) -> tuple[str, Session]:
        """Return the token of a new session for the client with this valid key, and the session."""
        client = self.client_name(key)
        expires_at = (now + SESSION_LIFETIME).replace(microsecond=0)
        expiry = f"{expires_at.timestamp():.0f}"
        return f"{expiry}.{_sign(self._session_secrets[client], expiry)}", Session(client, expires_at)

    def find_session(self, tokens: Iterable[str], now: datetime) -> Session | None:
        """Return the first session of these tokens that has not expired and that a present key has signed."""
        sessions = (self._verify_session(token) for token in tokens)
        return next((found for found in sessions if found is not None and now < found.expires_at), None)

    def _verify_session(self, token: str) -> Session | None:
        expiry, _, signature = token.partition(".")
        given = signature.encode(errors="replace")
        # Compare with the signature of every key, as verify() does.
        clients = [
            client
            for client, secret in self._session_secrets.items()
            if hmac.compare_digest(given, _sign(secret, expiry).encode())
        ]
        # It is signed, so the expiry is a number.
        return Session(clients[0], datetime.fromtimestamp(int(expiry), UTC)) if clients else None


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


def _session_secret(key: str) -> bytes:
    return hmac.digest(key.encode(), _SESSION_CONTEXT, "sha256")


def _sign(secret: bytes, text: str) -> str:
    return hmac.digest(secret, text.encode(errors="replace"), "sha256").hex()


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()
