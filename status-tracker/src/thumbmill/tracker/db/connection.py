"""Postgres: connections, errors by what follows from them, and statements by name. No other module uses psycopg."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import errors
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_loads
from pydantic_core import from_json

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable

Connection = psycopg.Connection[DictRow]

CONNECT_SECONDS = 5
# If packets are lost silently, the kernel would wait 15 minutes for an ACK, and hours for a response.
_NETWORK: dict[str, Any] = {
    "keepalives_idle": 10,  # seconds
    "keepalives_interval": 5,  # seconds
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,  # milliseconds; longer than any statement may take
}
_LIMITS = {"statement_timeout": "15s", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "120s"}

_FRAGMENT = "_columns"  # a name in queries.sql that ends so is no statement, but a list of columns for some

# https://www.postgresql.org/docs/current/errcodes-appendix.html
# Connections, a server that is read-only for now, transactions that took too long, full disks and memory, lock
# timeouts, shutdowns, broken disks.
_TRANSIENT = ("08", "25006", "25P03", "25P04", "53", "55P03", "57", "58", "F0", "XX")
_SCHEMA_DIFFERS = ("3F", "42501", "42703", "42883", "42P01")
_LOGIN_REJECTED = re.compile(r"authentication failed|no password supplied|does not exist|pg_hba|permission denied")


class ConflictError(Exception):
    """Another writer changed the same rows at the same time: redo the transaction."""


class InvalidValueError(Exception):
    """Postgres rejects a value, which the text names."""


def connect(url: str, name: str, *, variable: str = "DATABASE_URL") -> Connection:
    """Open a connection that appears as ``name`` in pg_stat_activity.

    Raise DependencyUnavailable or DependencyRejected.
    """
    options = " ".join(f"-c {setting}={value}" for setting, value in _LIMITS.items())
    try:
        connection = psycopg.connect(
            url,
            autocommit=True,
            row_factory=dict_row,
            connect_timeout=CONNECT_SECONDS,
            application_name=name,
            options=options,
            **_NETWORK,
        )
    except psycopg.ProgrammingError as error:
        raise DependencyRejected("postgres", f"{variable} is not a database URL: {_one_line(error)}") from error
    except psycopg.Error as error:
        # libpq has no SQLSTATE for a failed login, only the server's message.
        if _LOGIN_REJECTED.search(str(error)):
            raise DependencyRejected("postgres", f"check {variable}: {_one_line(error)}") from error
        raise DependencyUnavailable("postgres", _one_line(error)) from error
    set_json_loads(from_json, connection)  # three times as fast as the standard library's
    return connection


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise DependencyUnavailable, DependencyRejected, ConflictError or InvalidValueError for psycopg's errors."""
    try:
        yield
    except (errors.DeadlockDetected, errors.SerializationFailure) as error:
        raise ConflictError(_one_line(error)) from error
    except psycopg.Error as error:
        state = error.sqlstate or ("08" if _is_libpq_error(error) else "")
        if state.startswith(_SCHEMA_DIFFERS):
            advice = "run `status-tracker migrate` with the owner's MIGRATION_DATABASE_URL"
            raise DependencyRejected("postgres", f"{_one_line(error)}: {advice}") from error
        if state.startswith(_TRANSIENT):
            raise DependencyUnavailable("postgres", _one_line(error)) from error
        raise InvalidValueError(_one_line(error)) from error


def _is_libpq_error(error: psycopg.Error) -> bool:
    """Return whether an error without SQLSTATE is a connection's: some have the class of all database errors."""
    transient = (psycopg.OperationalError, psycopg.InternalError)
    return isinstance(error, transient) or type(error) is psycopg.DatabaseError


@cache
def _statements() -> dict[str, bytes]:
    text = (files("thumbmill.tracker.db") / "sql" / "queries.sql").read_text()
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    statements = dict(zip(parts[::2], parts[1::2], strict=True))
    fragments = {name: statements.pop(name).strip() for name in list(statements) if name.endswith(_FRAGMENT)}
    for fragment, columns in fragments.items():
        statements = {name: sql.replace(f"{{{fragment}}}", columns) for name, sql in statements.items()}
    return {name: sql.encode() for name, sql in statements.items()}


def execute(connection: Connection, statement: str, **values: Any) -> psycopg.Cursor[DictRow]:
    """Run a statement of ``sql/queries.sql`` by its name."""
    return connection.execute(_statements()[statement], values)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
