"""Who may call: clients that show a key, or everybody where that is meant."""

import hashlib
import hmac
from base64 import b64decode
from collections.abc import Iterable, Mapping
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from thumbmill.gateway.problems import Code, Problem

_BY_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="One of `API_KEYS`")
_BY_BEARER = HTTPBearer(auto_error=False, description="One of `API_KEYS`")


class ApiKeys:
    """The keys that open the API; none means that everybody may come in."""

    def __init__(self, keys: Iterable[str], monitoring_key: str = "") -> None:
        self._digests = [_digest(key) for key in keys]
        self._operators = [*self._digests, *([_digest(monitoring_key)] if monitoring_key else [])]

    @property
    def allows_anonymous(self) -> bool:
        return not self._digests

    def name(self, shown: str) -> str:
        """Give a client a name by its key, from which nobody gets the key; everybody has the same without keys."""
        return "" if self.allows_anonymous else _digest(shown).hex()[:16]

    def verify(self, shown: str) -> bool:
        """Tell whether this is one of the keys."""
        return _is_among(shown, self._digests)

    def verify_operator(self, headers: Mapping[str, str]) -> bool:
        """Tell whether a request may see what is for operators: metrics, faults of servers, the API's description.

        The key comes as for the API, or as the password of Basic, which is how a browser asks for one.
        """
        return not self._operators or _is_among(_shown_in(headers), self._operators)


async def require_key(
    request: Request,
    by_header: Annotated[str | None, Security(_BY_HEADER)] = None,
    by_bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BY_BEARER)] = None,
) -> None:
    """Let a request pass, or raise Problem (401)."""
    api_keys: ApiKeys = request.app.state.services.api_keys
    request.state.client = ""
    if api_keys.allows_anonymous:
        return
    shown = by_header or (by_bearer.credentials if by_bearer else "")
    if not api_keys.verify(shown):
        raise Problem(Code.UNAUTHORIZED)
    request.state.client = api_keys.name(shown)


def _shown_in(headers: Mapping[str, str]) -> str:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() == "basic":
        try:
            return b64decode(credentials).decode().partition(":")[2]
        except ValueError:
            return ""
    return headers.get("x-api-key", "")


def _is_among(shown: str, digests: Iterable[bytes]) -> bool:
    """Compare with every key, each in constant time, so that the answer's delay says nothing."""
    digest = _digest(shown)
    return any([hmac.compare_digest(digest, known) for known in digests])  # noqa: C419 - all of them


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()
