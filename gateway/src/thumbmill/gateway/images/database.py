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
MOST_WAITING = 400  # for a connection; about as many as are served within WAIT_SECONDS when the machine is busy
WAIT_SECONDS = 3  # for a connection
STATEMENT_SECONDS = 4  # for the server's work on one query; roles.sh says the same of the role
ANSWER_SECONDS = 5  # for everything
_LOGIN: dict[str, Any] = {
    "autocommit": True,
    "connect_timeout": WAIT_SECONDS,
    "application_name": "thumbmill-gateway",
    "options": f"-c statement_timeout={STATEMENT_SECONDS * 1000}",
    # A server that vanished without a word is noticed within half a minute, though nobody cancels what asks it.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,  # ms
}
_MISSING = (errors.UndefinedTable, errors.UndefinedColumn)
_REFUSALS = (
    errors.InvalidAuthorizationSpecification,
    errors.InvalidPassword,
    errors.InvalidCatalogName,
    errors.InsufficientPrivilege,
)
_FINAL = (PoolTimeout, PoolClosed, errors.QueryCanceled, *_REFUSALS)  # another connection would say the same
_BUGS = (DataError, IntegrityError, NotSupportedError, ProgrammingError)  # of ours, but for those above

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
            timeout=WAIT_SECONDS,
            max_waiting=MOST_WAITING,
            # A lost connection is sought twice and then no longer counted, so that the next question seeks it anew,
            # however long the server was away. With a longer time the pauses between attempts would double.
            reconnect_timeout=0,
            name="gateway",
            kwargs={**_LOGIN, "prepare_threshold": 3},
        )
        self._tasks: set[asyncio.Task[Any]] = set()
        self.served_at = time.monotonic()  # when the pool last gave out a connection

    async def open(self) -> None:
        """Begin to connect; whether that works, the first question shows."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await self._pool.close(timeout=1)
        if self._tasks:  # those that waited for a connection end by this, the others by their query's end
            await asyncio.wait(self._tasks, timeout=1)

    async def ask(self, query: LiteralString, values: dict[str, Any], shape: type[T]) -> list[T]:
        """Run one query and return its rows, each as a ``shape``.

        The caller may be cancelled; the query goes on without it.
        """
        task = asyncio.create_task(self._fetch_by_any(query, values, shape))
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        done, _ = await asyncio.wait({task}, timeout=ANSWER_SECONDS)
        if not done:
            raise DependencyUnavailable("postgres", f"no answer in {ANSWER_SECONDS} s")
        with _translated():
            try:
                return task.result()
            except PoolTimeout as fault:
                if self._is_serving():
                    raise TooManyRequests(f"no connection was free within {WAIT_SECONDS} s") from fault
                raise

    def _is_serving(self) -> bool:
        """Tell whether connections are given out, so that one that was not is a sign of load alone."""
        return time.monotonic() - self.served_at < WAIT_SECONDS / 2

    async def check_login(self) -> None:
        """Connect once, outside the pool, which would not say why it cannot. Raises DependencyAway, Refused."""
        with _translated():
            async with (
                asyncio.timeout(ANSWER_SECONDS),
                await AsyncConnection.connect(self._url, **_LOGIN) as connection,
            ):
                await connection.execute("SELECT FROM tracker_progress")

    async def _fetch_by_any(self, query: LiteralString, values: dict[str, Any], shape: type[T]) -> list[T]:
        """Fetch; where the server went and came back, each kept connection is dead, and replaced once tried."""
        for _ in range(CONNECTIONS):
            try:
                return await self._fetch(query, values, shape)
            except OperationalError as fault:
                if isinstance(fault, (*_FINAL, TooManyRequests)):
                    raise
        return await self._fetch(query, values, shape)

    async def _fetch(self, query: LiteralString, values: dict[str, Any], shape: type[T]) -> list[T]:
        async with self._pool.connection() as connection:
            self.served_at = time.monotonic()
            async with connection.cursor(row_factory=class_row(shape)) as cursor:
                return await (await cursor.execute(query, values)).fetchall()

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked may have left, and then nobody else looks at it


@contextmanager
def _translated() -> Iterator[None]:
    """Turn psycopg's faults into DependencyAway and Refused; a bug of ours stays what it is."""
    try:
        yield
    except TooManyRequests as fault:
        raise DependencyUnavailable(
            "gateway", f"more is asked than {CONNECTIONS} connections serve: {fault}"
        ) from fault
    except (Error, TimeoutError) as fault:
        if isinstance(fault, _BUGS) and not isinstance(fault, (*_REFUSALS, *_MISSING)):
            raise
        raise _our_fault(fault) from fault


def _our_fault(fault: Exception) -> DependencyUnavailable:
    """Tell a server that is away from one that refuses us."""
    text = " ".join(str(fault).split()) or type(fault).__name__
    if isinstance(fault, errors.InsufficientPrivilege):
        return DependencyRejected(
            "postgres", f"{text}: DATABASE_URL must log in as the role 'gateway', which may read the views"
        )
    if isinstance(fault, _MISSING):
        return DependencyUnavailable("postgres", f"{text}: run `status-tracker migrate`")
    if isinstance(fault, _REFUSALS) or "authentication failed" in text or "does not exist" in text:
        return DependencyRejected("postgres", f"{text}: check DATABASE_URL")
    return DependencyUnavailable("postgres", text)
