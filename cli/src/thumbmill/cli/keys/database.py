"""API keys in Postgres, as the role key_keeper. No other module of the command line uses psycopg.

A trigger writes the history, so that no change is without an entry.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from thumbmill.core.contracts.api_keys import NewKey
from thumbmill.core.errors import DependencyRejected, DependencyUnavailable

CONNECT_SECONDS = 5
_OPTIONS = "-c statement_timeout=10s -c lock_timeout=5s"
_LIST = """
    SELECT id, tenant, name, scopes, limits, created_at, expires_at, revoked_at, successor
    FROM api_keys
    ORDER BY created_at, id
"""
_LOCK = """
    SELECT id, tenant, name, scopes, limits, created_at, expires_at, revoked_at, successor
    FROM api_keys
    WHERE id = %s
    FOR UPDATE
"""


class UnknownKeyError(Exception):
    """There is no key with this id."""


class RevokedKeyError(Exception):
    """A key that is revoked cannot be changed."""


@dataclass(frozen=True)
class Grant:
    """What a key allows, and how long."""

    tenant: str
    name: str
    scopes: list[str]
    expires_at: datetime | None
    limits: dict[str, int]


@dataclass(frozen=True)
class StoredKey:
    """A key as the database knows it: without its text."""

    id: str
    tenant: str
    name: str
    scopes: list[str]
    limits: dict[str, int]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    successor: str | None

    def is_active(self, now: datetime) -> bool:
        return not self.revoked_at and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True)
class KeyEvent:
    """An entry of the history."""

    key_id: str
    type: str
    actor: str
    at: datetime
    data: dict[str, Any]


class KeyStore:
    """The keys. Every method may raise DependencyUnavailable or DependencyRejected."""

    def __init__(self, connection: psycopg.Connection, actor: str) -> None:
        self._connection = connection
        self._actor = actor

    def add(self, key: NewKey, grant: Grant) -> None:
        """Store a new key."""
        self._connection.execute(
            "INSERT INTO api_keys (id, tenant, name, scopes, limits, secret_sha256, expires_at, changed_by)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [
                key.id,
                grant.tenant,
                grant.name,
                grant.scopes,
                Jsonb(grant.limits),
                key.digest,
                grant.expires_at,
                self._actor,
            ],
        )

    def rotate(self, key_id: str, successor: NewKey, expires_at: datetime | None, overlap: timedelta) -> StoredKey:
        """Add a key that allows the same, and let the old one expire after the overlap. Return the old one.

        Raise UnknownKeyError or RevokedKeyError.
        """
        with self._connection.transaction():
            old = self._lock(key_id)
            self.add(successor, Grant(old.tenant, old.name, old.scopes, expires_at, old.limits))
            self._connection.execute(
                "UPDATE api_keys SET successor = %s, changed_by = %s,"
                " expires_at = least(expires_at, clock_timestamp() + %s) WHERE id = %s",
                [successor.id, self._actor, overlap, key_id],
            )
            return self._lock(key_id)

    def revoke(self, key_id: str) -> StoredKey:
        """Revoke a key for good and return it. Raise UnknownKeyError or RevokedKeyError."""
        with self._connection.transaction():
            key = self._lock(key_id)
            self._connection.execute(
                "UPDATE api_keys SET revoked_at = clock_timestamp(), changed_by = %s WHERE id = %s",
                [self._actor, key_id],
            )
            return key

    def list_all(self) -> list[StoredKey]:
        """Return all keys, the oldest first."""
        with self._connection.cursor(row_factory=class_row(StoredKey)) as cursor:
            return cursor.execute(_LIST).fetchall()

    def read_history(self, key_id: str | None) -> list[KeyEvent]:
        """Return who changed a key, or all keys, in the order of the changes."""
        with self._connection.cursor(row_factory=class_row(KeyEvent)) as cursor:
            return cursor.execute(
                "SELECT key_id, type, actor, at, data FROM api_key_events"
                " WHERE %(id)s::text IS NULL OR key_id = %(id)s ORDER BY version",
                {"id": key_id},
            ).fetchall()

    def _lock(self, key_id: str) -> StoredKey:
        with self._connection.cursor(row_factory=class_row(StoredKey)) as cursor:
            key = cursor.execute(_LOCK, [key_id]).fetchone()
        if key is None:
            raise UnknownKeyError(key_id)
        if key.revoked_at:
            raise RevokedKeyError(key_id)
        return key


@contextmanager
def open_keys(url: str, actor: str) -> Iterator[KeyStore]:
    """Connect to the database, and map its errors to DependencyUnavailable and DependencyRejected."""
    try:
        with psycopg.connect(
            url,
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            application_name="thumbmill keys",
            options=_OPTIONS,
        ) as connection:
            yield KeyStore(connection, actor)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege) as error:
        advice = "run `status-tracker migrate`, and log in as the role key_keeper"
        raise DependencyRejected("postgres", f"{_one_line(error)}: {advice}") from error
    except psycopg.Error as error:
        raise DependencyUnavailable("postgres", _one_line(error)) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
