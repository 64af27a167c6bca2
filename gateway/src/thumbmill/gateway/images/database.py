"""Postgres, asked through a few kept connections by a role that may do nothing but read.

A query runs in a task of its own, and whoever asked waits for it no longer than ``ANSWER_SECONDS``. Nothing cancels
that task: psycopg's pool loses a connection for good when it is cancelled while it takes one out or puts one back,
and still counts it, so that after eight of them no connection is ever given out again. What bounds a query instead
is the pool's own wait for a connection, and ``statement_timeout`` in the server.
"""

import asyncio
import time
from collections.abc import Iterator
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
)
from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable

CONNECTIONS = 8
MAX_WAITING = 400  # for a connection; about as many as are served within WAIT_SECONDS when the machine is busy
POOL_TIMEOUT_SECONDS = 3  # for a connection
STATEMENT_TIMEOUT_SECONDS = 4  # for the server's work on one query; roles.sh says the same of the role
QUERY_TIMEOUT_SECONDS = 5  # for everything
_LOGIN: dict[str, Any] = {
    "autocommit": True,
    "connect_timeout": POOL_TIMEOUT_SECONDS,
    "application_name": "thumbmill-gateway",
    "options": f"-c statement_timeout={STATEMENT_TIMEOUT_SECONDS * 1000}",
    # A server that vanished without a word is noticed within half a minute, though nobody cancels what asks it.
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
_NOT_RETRYABLE = (
    PoolTimeout,
    PoolClosed,
    errors.QueryCanceled,
    *_LOGIN_ERRORS,
)  # another connection would say the same
_PROGRAMMING_ERRORS = (
    DataError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
)  # of ours, but for those above

T = TypeVar("T")


class Database:
    """The pool of connections. Every question raises DependencyAway, Refused."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: AsyncConnectionPool[AsyncConnection[Any]] = AsyncConnectionPool(
            url,
            open=False,
            min_size=1,
            max_size=CONNECTIONS,
            timeout=POOL_TIMEOUT_SECONDS,
            max_waiting=MAX_WAITING,
            # A lost connection is sought twice and then no longer counted, so that the next question seeks it anew,
            # however long the server was away. With a longer time the pauses between attempts would double.
            reconnect_timeout=0,
            name="gateway",
            kwargs={**_LOGIN, "prepare_threshold": 3},
        )
        self._tasks: set[asyncio.Task[Any]] = set()
        self.last_acquired_at = time.monotonic()  # when the pool last gave out a connection

    async def open(self) -> None:
        """Begin to connect; whether that works, the first question shows."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await self._pool.close(timeout=1)
        if self._tasks:  # those that waited for a connection end by this, the others by their query's end
            await asyncio.wait(self._tasks, timeout=1)

    async def fetch_all(self, query: LiteralString, values: dict[str, Any], shape: type[T]) -> list[T]:
        """Run one query and return its rows, each as a ``shape``.

        The caller may be cancelled; the query goes on without it.
        """
        task = asyncio.create_task(self._fetch_with_retry(query, values, shape))
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        done, _ = await asyncio.wait({task}, timeout=QUERY_TIMEOUT_SECONDS)
        if not done:
            raise DependencyUnavailable("postgres", f"no answer in {QUERY_TIMEOUT_SECONDS} s")
        with _map_errors():
            try:
                return task.result()
            except PoolTimeout as error:
                if self._is_overloaded():
                    raise TooManyRequests(f"no connection was free within {POOL_TIMEOUT_SECONDS} s") from error
                raise

    def _is_overloaded(self) -> bool:
        """Tell whether connections are given out, so that one that was not is a sign of load alone."""
        return time.monotonic() - self.last_acquired_at < POOL_TIMEOUT_SECONDS / 2

    async def check_login(self) -> None:
        """Connect once, outside the pool, which would not say why it cannot. Raises DependencyAway, Refused."""
        with _map_errors():
            async with (
                asyncio.timeout(QUERY_TIMEOUT_SECONDS),
                await AsyncConnection.connect(self._url, **_LOGIN) as connection,
            ):
                await connection.execute("SELECT FROM tracker_progress")

    async def _fetch_with_retry(self, query: LiteralString, values: dict[str, Any], shape: type[T]) -> list[T]:
        """Fetch; where the server went and came back, each kept connection is dead, and replaced once tried."""
        for _ in range(CONNECTIONS):
            try:
                return await self._fetch(query, values, shape)
            except OperationalError as error:
                if isinstance(error, (*_NOT_RETRYABLE, TooManyRequests)):
                    raise
        return await self._fetch(query, values, shape)

    async def _fetch(self, query: LiteralString, values: dict[str, Any], shape: type[T]) -> list[T]:
        async with self._pool.connection() as connection:
            self.last_acquired_at = time.monotonic()
            async with connection.cursor(row_factory=class_row(shape)) as cursor:
                return await (await cursor.execute(query, values)).fetchall()

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked may have left, and then nobody else looks at it


@contextmanager
def _map_errors() -> Iterator[None]:
    """Turn psycopg's faults into DependencyAway and Refused; a bug of ours stays what it is."""
    try:
        yield
    except TooManyRequests as error:
        raise DependencyUnavailable(
            "gateway", f"more is asked than {CONNECTIONS} connections serve: {error}"
        ) from error
    except (Error, TimeoutError) as error:
        if isinstance(error, _PROGRAMMING_ERRORS) and not isinstance(error, (*_LOGIN_ERRORS, *_MISSING_SCHEMA)):
            raise
        raise _to_dependency_error(error) from error


def _to_dependency_error(error: Exception) -> DependencyUnavailable:
    """Tell a server that is away from one that refuses us."""
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
