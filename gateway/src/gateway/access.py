"""Who may call: clients that show a key, or everybody where that is meant."""

import hashlib
import hmac
from collections.abc import Iterable
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from gateway.problems import Code, Problem

_BY_HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="One of `API_KEYS`")
_BY_BEARER = HTTPBearer(auto_error=False, description="One of `API_KEYS`")


class Access:
    """The keys that open the API; none means that everybody may come in."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [_digest(key) for key in keys]

    @property
    def is_open(self) -> bool:
        return not self._digests

    def name(self, shown: str) -> str:
        """Give a client a name by its key, from which nobody gets the key; everybody has the same without keys."""
        return "" if self.is_open else _digest(shown).hex()[:16]

    def admits(self, shown: str) -> bool:
        """Compare with every key, each in constant time, so that the answer's delay says nothing."""
        digest = _digest(shown)
        return any([hmac.compare_digest(digest, known) for known in self._digests])  # noqa: C419 - all of them


async def require_key(
    request: Request,
    by_header: Annotated[str | None, Security(_BY_HEADER)] = None,
    by_bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BY_BEARER)] = None,
) -> None:
    """Let a request pass, or raise Problem (401)."""
    access: Access = request.app.state.parts.access
    request.state.client = ""
    if access.is_open:
        return
    shown = by_header or (by_bearer.credentials if by_bearer else "")
    if not access.admits(shown):
        raise Problem(Code.UNAUTHORIZED)
    request.state.client = access.name(shown)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode(errors="surrogateescape")).digest()
