"""The API keys in the database. The gateway has all of them in memory and looks for changes every second.

Reading works with replicas and connection poolers, and no request waits for the database. While that cannot be
read, the keys that were read last stay valid for a quarter of an hour. After that, none is accepted, since any may
have been revoked.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from thumbmill.core.contracts.api_keys import Scope
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.gateway.access.keys import Key
from thumbmill.gateway.access.principal import Principal
from thumbmill.gateway.images.database import Database
from thumbmill.gateway.problems import Code, Problem

log = structlog.get_logger()

POLL_SECONDS = 1.0  # a revoked key is rejected after at most this and two queries: the promise is 5 s
MAX_STALE_SECONDS = 900.0

_VERSION = "SELECT coalesce(max(version), 0) AS version FROM known_keys"
_KEYS = """
    SELECT id, tenant, name, scopes, secret_sha256, limits, expires_at, revoked_at, version
    FROM known_keys
"""
_SCOPES = set(Scope)


@dataclass(frozen=True)
class _Version:
    version: int


@dataclass(frozen=True)
class KeyRow:
    """A row of the view ``known_keys``."""

    id: str
    tenant: str
    name: str
    scopes: list[str]
    secret_sha256: bytes
    limits: dict[str, int]
    expires_at: datetime | None
    revoked_at: datetime | None
    version: int


class KnownKeys:
    """The keys as they were read last."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._keys: dict[str, Key] = {}
        self._version: int | None = None
        self._read_at: float | None = None

    async def watch(self) -> None:
        """Read the changes at an interval until the task is cancelled."""
        is_unavailable = False
        while True:
            try:
                await self.refresh()
                is_unavailable = False
            except DependencyUnavailable as error:
                if not is_unavailable:
                    log.warning("keys_unavailable", error=str(error))
                is_unavailable = True
            except Exception:  # a bug: without this handler, revoked keys would stay valid for a quarter of an hour
                log.exception("keys_failed")
            await asyncio.sleep(POLL_SECONDS)

    async def refresh(self) -> None:
        """Read the keys if one has changed. Raise DependencyUnavailable."""
        began = self._clock()
        [newest] = await self._database.fetch_all(_VERSION, {}, _Version)
        if newest.version != self._version:  # smaller after the database was restored from a backup
            rows = await self._database.fetch_all(_KEYS, {}, KeyRow)
            self._keys = {row.id: to_key(row) for row in rows}
            self._version = max((row.version for row in rows), default=0)
        self._read_at = began

    def get(self, key_id: str) -> Key | None:
        """Return the key with an id, even one that has ended. Raise Problem (503) if the keys are not known."""
        if not self.is_known:
            raise Problem(Code.KEYS_UNKNOWN)
        return self._keys.get(key_id)

    @property
    def is_known(self) -> bool:
        """Whether the keys were read lately."""
        return self._read_at is not None and self._clock() - self._read_at <= MAX_STALE_SECONDS


def to_key(row: KeyRow) -> Key:
    """Return the key of a row. Scopes of a later version are ignored."""
    scopes = frozenset(Scope(scope) for scope in row.scopes if scope in _SCOPES)
    principal = Principal(row.name, row.id, row.tenant, scopes, row.limits)
    return Key(row.id, row.secret_sha256, principal, row.expires_at, row.revoked_at)
