"""Who sends a request: the API key or the session that it shows."""

import hmac
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from thumbmill.core.contracts.api_keys import PREFIX, digest_of, id_of, is_key_id, is_well_formed
from thumbmill.gateway.access.keys import Key, StaticKeys, is_same
from thumbmill.gateway.access.known_keys import KnownKeys
from thumbmill.gateway.access.principal import ANONYMOUS, MONITORING, Client
from thumbmill.gateway.access.sessions import SessionSigner, parse_token
from thumbmill.gateway.problems import Problem


@dataclass(frozen=True)
class Authenticator:
    """Finds the client of a request.

    Every method may raise Problem (503) for a key of the database while these keys are not known.
    """

    static_keys: StaticKeys
    known_keys: KnownKeys
    sessions: SessionSigner
    monitoring_key: str
    allows_anonymous: bool

    def identify(self, text: str, tokens: Iterable[str], now: datetime) -> Client | None:
        """Return the client that sends this API key, or else one of these session tokens. None has no access.

        Without required keys, what is no key of the database counts as nothing: a mistyped one must not make its
        client anonymous.
        """
        if text and (not self.allows_anonymous or text.startswith(PREFIX)):
            key = self.find_key(text, now)
            return Client(key.principal) if key else None
        return self._find_session(tokens, now) or (Client(ANONYMOUS) if self.allows_anonymous else None)

    def identify_operator(self, headers: Mapping[str, str], tokens: Iterable[str], now: datetime) -> Client | None:
        """Return the client that asks for operator data: metrics, API docs or the details of readiness.

        The key is sent as for the API, or as the password of Basic authentication, for which browsers prompt.
        """
        text = _key_in(headers)
        if self.monitoring_key and is_same(text, self.monitoring_key):
            return Client(MONITORING)
        client = self.identify(text, tokens, now)
        return None if client and self.monitoring_key and client.principal == ANONYMOUS else client

    def find_key(self, text: str, now: datetime) -> Key | None:
        """Return the valid key with this text. A mistyped key of the database is not looked up."""
        if static := self.static_keys.find(text):
            return static
        if not is_well_formed(text):
            return None
        key = self.known_keys.get(id_of(text))
        is_right = key is not None and hmac.compare_digest(digest_of(text), key.digest)
        return key if key and is_right and key.is_valid(now) else None

    def is_valid(self, client: Client, now: datetime) -> bool:
        """Return whether a client that was identified earlier still has access."""
        if client.session_expires_at and client.session_expires_at <= now:
            return False
        key_id = client.principal.key_id
        if key_id is None:
            return True
        key = self._get(key_id)
        return key is not None and key.is_valid(now)

    def has_access(self, client: Client | None) -> bool:
        """Return whether a client has access now. It has none while the keys are not known."""
        try:
            return client is not None and self.is_valid(client, datetime.now(UTC))
        except Problem:
            return False

    def _find_session(self, tokens: Iterable[str], now: datetime) -> Client | None:
        for token in map(parse_token, tokens):
            key = self._get(token.key_id) if token else None
            if token and key and key.is_valid(now) and (expires_at := self.sessions.verify(token, key, now)):
                return Client(key.principal, expires_at)
        return None

    def _get(self, key_id: str) -> Key | None:
        if static := self.static_keys.get(key_id):
            return static
        return self.known_keys.get(key_id) if is_key_id(key_id) else None


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
