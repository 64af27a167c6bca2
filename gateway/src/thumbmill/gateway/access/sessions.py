"""Tokens of browsers' sessions.

A token is its expiry, the id of the API key that opened it, and an HMAC under a secret that all gateways have. So
whoever reads the database can make none. The key's digest is signed, too: every gateway accepts a token, nothing is
stored, and it ends with its key.
"""

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from thumbmill.gateway.access.keys import Key

SESSION_LIFETIME = timedelta(days=7)
_CONTEXT = b"thumbmill session 2"  # raise the number to end all sessions


@dataclass(frozen=True)
class SessionToken:
    """The parts of a token that is not verified yet."""

    expiry: str
    key_id: str
    signature: str


class SessionSigner:
    """Makes and verifies tokens."""

    def __init__(self, secret: str) -> None:
        self._secret = hmac.digest(secret.encode(), _CONTEXT, "sha256")

    def open(self, key: Key, now: datetime) -> tuple[str, datetime]:
        """Return the token of a new session for the client with a key, and its expiry."""
        longest = now + SESSION_LIFETIME
        expires_at = min(longest, key.expires_at or longest).replace(microsecond=0)
        expiry = f"{expires_at.timestamp():.0f}"
        return f"{expiry}.{key.id}.{self._sign(expiry, key)}", expires_at

    def verify(self, token: SessionToken, key: Key, now: datetime) -> datetime | None:
        """Return when the session ends, or None if it has ended or was not opened with this key."""
        if not hmac.compare_digest(
            token.signature.encode(errors="replace"), self._sign(token.expiry, key).encode()
        ):
            return None
        expires_at = datetime.fromtimestamp(int(token.expiry), UTC)  # signed, so it is a number
        return expires_at if now < expires_at else None

    def _sign(self, expiry: str, key: Key) -> str:
        text = f"{expiry}.{key.id}.{key.digest.hex()}"
        return hmac.digest(self._secret, text.encode(errors="replace"), "sha256").hex()


def parse_token(text: str) -> SessionToken | None:
    """Return the parts of a token, or None if the text is none."""
    parts = text.split(".")
    return SessionToken(*parts) if len(parts) == 3 else None
