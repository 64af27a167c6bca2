"""Postgres: a small pool of connections of a role that may only read.

A query runs in its own task, and its caller waits for it at most ``QUERY_TIMEOUT_SECONDS``. That task is never
cancelled: psycopg's pool permanently loses a connection when it is cancelled while it takes one out or puts one
back, and still counts it, so that after eight of them no connection is ever available again. Instead, the pool's
own timeout and ``statement_timeout`` in the server bound a query.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, LiteralString, TypeVar

from psycopg import (
    AsyncConnection,
    DataError,
    Error,
    IntegrityError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
    errors,
    sql,
)
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable

CONNECTIONS = 8
MAX_WAITING = 400  # queries; about as many as a busy machine serves within POOL_TIMEOUT_SECONDS
POOL_TIMEOUT_SECONDS = 3  # to get a connection
STATEMENT_TIMEOUT_SECONDS = 4  # for the server's work on one query; roles.sh sets the same for the role
QUERY_TIMEOUT_SECONDS = 5  # for the connection and the query together
_CONNECT_OPTIONS: dict[str, Any] = {
    "autocommit": True,
    "connect_timeout": POOL_TIMEOUT_SECONDS,
    "application_name": "thumbmill-gateway",
    # No JIT: a new table without statistics looks so large that one read of the feed was compiled for a second.
    "options": f"-c statement_timeout={STATEMENT_TIMEOUT_SECONDS * 1000} -c jit=off",
    # Detect a server that vanished within half a minute, since no query task is ever cancelled.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # ms
}
_MISSING_SCHEMA = (errors.UndefinedTable, errors.UndefinedColumn)
_LOGIN_ERRORS = (
    errors.InvalidAuthorizationSpecification,
    errors.InvalidPassword,
    errors.InvalidCatalogName,
    errors.InsufficientPrivilege,
)
# Another connection would fail in the same way.
_NOT_RETRYABLE = (PoolTimeout, PoolClosed, TooManyRequests, errors.QueryCanceled, *_LOGIN_ERRORS)
# Bugs of the gateway, unless they are among the errors above.
_PROGRAMMING_ERRORS = (DataError, IntegrityError, NotSupportedError, ProgrammingError)

T = TypeVar("T")


class Database:
    """The connection pool. Every query may raise DependencyUnavailable or DependencyRejected."""

    def __init__(self, url: str, *, connections: int = CONNECTIONS) -> None:
        self._url = url
        self._connections = connections
        self._pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
            url,
            open=False,
            min_size=1,
            max_size=connections,
            timeout=POOL_TIMEOUT_SECONDS,
            max_waiting=MAX_WAITING,
            # A lost connection is reconnected twice and then no longer counted, so that the next query reconnects
            # at once, however long the server was unavailable. A longer timeout doubles the pauses between
            # attempts.
            reconnect_timeout=0,
            name="gateway",
            kwargs={**_CONNECT_OPTIONS, "prepare_threshold": 3},
        )
        self._tasks: set[asyncio.Task[Any]] = set()
        self.last_acquired_at = time.monotonic()  # when the pool last provided a connection

    async def open(self) -> None:
        """Start to connect. The first query shows whether that succeeds."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await self._pool.close(timeout=1)
        if self._tasks:  # closing the pool ends those that wait for a connection; the others end with their query
            await asyncio.wait(self._tasks, timeout=1)

    async def fetch_all(self, query: LiteralString, parameters: dict[str, Any], row_type: type[T]) -> list[T]:
        """Run one query and return its rows as ``row_type``.

        The caller may be cancelled; the query continues without it.
        """
        task = asyncio.create_task(self._fetch_with_retry(query, parameters, row_type))
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        done, _ = await asyncio.wait({task}, timeout=QUERY_TIMEOUT_SECONDS)
        if not done:
            raise DependencyUnavailable("postgres", f"no answer in {QUERY_TIMEOUT_SECONDS} s")
        with _map_errors():
            try:
                return task.result()
            except PoolTimeout as error:
                if self._provides_connections():
                    raise TooManyRequests(f"no connection was free within {POOL_TIMEOUT_SECONDS} s") from error
                raise

    def _provides_connections(self) -> bool:
        """Return whether the pool provided a connection lately, so that a timeout means only load."""
        return time.monotonic() - self.last_acquired_at < POOL_TIMEOUT_SECONDS / 2

    async def listen(self, channel: LiteralString) -> AsyncIterator[str]:
        """Yield the payloads of notifications, by a connection outside of the pool. Raise as a query does."""
        with _map_errors():
            async with await AsyncConnection.connect(self._url, **_CONNECT_OPTIONS) as connection:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                async for notification in connection.notifies():
                    yield notification.payload

    async def check_login(self) -> None:
        """Connect once outside of the pool, which hides the reason of a failure.

        Raise DependencyUnavailable, DependencyRejected.
        """
        with _map_errors():
            async with (
                asyncio.timeout(QUERY_TIMEOUT_SECONDS),
                await AsyncConnection.connect(self._url, **_CONNECT_OPTIONS) as connection,
            ):
                await connection.execute("SELECT FROM tracker_progress")

    async def _fetch_with_retry(
        self, query: LiteralString, parameters: dict[str, Any], row_type: type[T]
    ) -> list[T]:
        """Fetch, and retry on each pooled connection: after a restart of the server, each one fails once."""
        for _ in range(self._connections):
            try:
                return await self._fetch(query, parameters, row_type)
            except OperationalError as error:
                if isinstance(error, _NOT_RETRYABLE):
                    raise
        return await self._fetch(query, parameters, row_type)

    async def _fetch(self, query: LiteralString, parameters: dict[str, Any], row_type: type[T]) -> list[T]:
        async with self._pool.connection() as connection:
            self.last_acquired_at = time.monotonic()
            async with connection.cursor(row_factory=class_row(row_type)) as cursor:
                return await (await cursor.execute(query, parameters)).fetchall()

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # mark it as retrieved: the caller may have left


@contextmanager
def _map_errors() -> Iterator[None]:
    """Map psycopg's errors to DependencyUnavailable and DependencyRejected, but let programming errors pass."""
    try:
        yield
    except TooManyRequests as error:
        raise DependencyUnavailable(
            "gateway", f"more queries than {CONNECTIONS} connections can serve: {error}"
        ) from error
    except (Error, TimeoutError) as error:
        if isinstance(error, _PROGRAMMING_ERRORS) and not isinstance(error, (*_LOGIN_ERRORS, *_MISSING_SCHEMA)):
            raise
        raise _to_dependency_error(error) from error


def _to_dependency_error(error: Exception) -> DependencyUnavailable:
    """Distinguish a server that is unavailable from one that rejects the gateway."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, errors.InsufficientPrivilege):
        return DependencyRejected(
            "postgres", f"{text}: DATABASE_URL must log in as the role 'gateway', which may read the views"
        )
    if isinstance(error, _MISSING_SCHEMA):
        return DependencyUnavailable("postgres", f"{text}: run `status-tracker migrate`")
    if isinstance(error, _LOGIN_ERRORS) or "authentication failed" in text or "does not exist" in text:
        return DependencyRejected("postgres", f"{text}: check DATABASE_URL")
    return DependencyUnavailable("postgres", text)
