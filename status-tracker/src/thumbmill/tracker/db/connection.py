"""Postgres: a connection, the faults that matter, and statements by name. psycopg is known here alone."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any

import psycopg
from psycopg import errors
from psycopg.rows import DictRow, dict_row

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable

Connection = psycopg.Connection[DictRow]

CONNECT_SECONDS = 5
# Where packets vanish, the kernel would wait a quarter of an hour to hear of its own, and hours for an answer.
_NETWORK: dict[str, Any] = {
    "keepalives_idle": 10,  # seconds
    "keepalives_interval": 5,  # seconds
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,  # milliseconds; no statement may take longer anyway
}
_LIMITS = {"statement_timeout": "15s", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "120s"}

_COLUMNS = "image_columns"  # what queries.sql calls those of an image's row; no statement, but a part of some

# https://www.postgresql.org/docs/current/errcodes-appendix.html
# Connections, a server that is read-only for now, transactions that took too long, full disks and memories, lock
# timeouts, shutdowns, broken disks.
_MAY_PASS = ("08", "25006", "25P03", "25P04", "53", "55P03", "57", "58", "F0", "XX")
_SCHEMA_DIFFERS = ("3F", "42501", "42703", "42883", "42P01")
_REFUSED_LOGIN = re.compile(r"authentication failed|no password supplied|does not exist|pg_hba|permission denied")


class ConflictError(Exception):
    """Somebody else wrote the same rows at the same time: once more from the start."""


class InvalidValueError(Exception):
    """Postgres refuses a value; the text says which."""


def connect(url: str, name: str, *, variable: str = "DATABASE_URL") -> Connection:
    """Open a connection that shows as ``name`` in pg_stat_activity. Raises DependencyAway, Refused."""
    options = " ".join(f"-c {setting}={value}" for setting, value in _LIMITS.items())
    try:
        return psycopg.connect(
            url,
            autocommit=True,
            row_factory=dict_row,
            connect_timeout=CONNECT_SECONDS,
            application_name=name,
            options=options,
            **_NETWORK,
        )
    except psycopg.ProgrammingError as fault:
        raise DependencyRejected("postgres", f"{variable} is no address of a database: {_line(fault)}") from fault
    except psycopg.Error as fault:
        # libpq gives no SQLSTATE for a login that failed, only the server's sentence.
        if _REFUSED_LOGIN.search(str(fault)):
            raise DependencyRejected("postgres", f"check {variable}: {_line(fault)}") from fault
        raise DependencyUnavailable("postgres", _line(fault)) from fault


@contextmanager
def translated() -> Iterator[None]:
    """Turn psycopg's faults into ours: DependencyAway, Refused, ConflictError, UnstorableError."""
    try:
        yield
    except (errors.DeadlockDetected, errors.SerializationFailure) as fault:
        raise ConflictError(_line(fault)) from fault
    except psycopg.Error as fault:
        state = fault.sqlstate or ("08" if _is_libpqs(fault) else "")
        if state.startswith(_SCHEMA_DIFFERS):
            advice = "run `status-tracker migrate` with the owner's MIGRATION_DATABASE_URL"
            raise DependencyRejected("postgres", f"{_line(fault)}: {advice}") from fault
        if state.startswith(_MAY_PASS):
            raise DependencyUnavailable("postgres", _line(fault)) from fault
        raise InvalidValueError(_line(fault)) from fault


def _is_libpqs(fault: psycopg.Error) -> bool:
    """Tell whether a fault without SQLSTATE is of a connection: libpq says some by the class above all others."""
    track = (psycopg.OperationalError, psycopg.InternalError)
    return isinstance(fault, track) or type(fault) is psycopg.DatabaseError


@cache
def _statements() -> dict[str, bytes]:
    text = (files("thumbmill.tracker.db") / "sql" / "queries.sql").read_text()
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    statements = dict(zip(parts[::2], parts[1::2], strict=True))
    columns = statements.pop(_COLUMNS)
    return {name: sql.replace(f"{{{_COLUMNS}}}", columns.strip()).encode() for name, sql in statements.items()}


def execute(connection: Connection, statement: str, **values: Any) -> psycopg.Cursor[DictRow]:
    """Run a statement of ``sql/queries.sql`` by its name."""
    return connection.execute(_statements()[statement], values)


def _line(fault: Exception) -> str:
    return " ".join(str(fault).split()) or type(fault).__name__
