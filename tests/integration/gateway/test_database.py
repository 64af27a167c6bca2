"""The gateway's connections to Postgres: none is ever lost, even if callers are cancelled."""

import asyncio
import random
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass

import psycopg
import pytest

from thumbmill.core.errors import DependencyUnavailable
from thumbmill.gateway.images.database import CONNECTIONS, MAX_WAITING, Database
from thumbmill.gateway.images.repository import ImageRepository
from thumbmill.gateway.liveness import Liveness

TIMEOUT_SECONDS = 30


@asynccontextmanager
async def opened(url):
    database = Database(url)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


@pytest.fixture
def url(fresh):
    return fresh.stack.endpoints.database("gateway")


@dataclass
class Pause:
    pause: str
    pid: int


async def serve_at_once(database):
    """Return how many connections Postgres works on at the same time."""
    nap = "SELECT pg_sleep(0.2)::text AS pause, pg_backend_pid() AS pid"
    rows = await asyncio.gather(*[database.fetch_all(nap, {}, Pause) for _ in range(4 * CONNECTIONS)])
    return len({row[0].pid for row in rows})


async def eventually(condition):
    """Wait until an asynchronous condition is true."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not await condition():  # noqa: ASYNC110 - what it asks for raises no event
            await asyncio.sleep(0.05)


def test_a_cancelled_caller_costs_no_connection(url):
    """The pool used to lose a connection if its caller was cancelled while taking or returning it."""

    async def run():
        async with opened(url) as database:
            chance = random.Random(5)

            async def ask():
                with suppress(TimeoutError, DependencyUnavailable):
                    async with asyncio.timeout(chance.uniform(0, 0.03)):
                        await ImageRepository(database).check()

            for _ in range(60):
                await asyncio.gather(*[ask() for _ in range(3 * CONNECTIONS)])

            async def serves_all():
                return await serve_at_once(database) == CONNECTIONS

            await eventually(serves_all)  # a pool grows gradually

    asyncio.run(run())


def test_no_query_takes_longer_than_the_statement_timeout(url):
    """Otherwise queries without a caller would occupy all connections."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == ("4s",)

    async def run():
        async with opened(url) as database:
            await database.fetch_all("SELECT pg_sleep(60)::text AS pause, 0 AS pid", {}, Pause)

    with pytest.raises(DependencyUnavailable, match="statement timeout"):
        asyncio.run(run())


def test_no_query_is_compiled(url):
    """Compiling one read of a new feed, whose tables have no statistics, took a second of CPU time."""

    async def run():
        async with opened(url) as database:
            return await database.fetch_all("SELECT current_setting('jit') AS pause, 0 AS pid", {}, Pause)

    assert asyncio.run(run()) == [Pause("off", 0)]


def test_more_queries_than_can_be_served_are_rejected_at_once(fresh, url):
    async def run():
        async with opened(url) as database:
            await ImageRepository(database).check()
            with closing(psycopg.connect(fresh.owner)) as locker:
                locker.execute("LOCK TABLE progress")
                asked = [ImageRepository(database).check() for _ in range(CONNECTIONS + MAX_WAITING + 20)]
                answers = await asyncio.gather(*asked, return_exceptions=True)
        return answers

    dependencies = [answer.dependency for answer in asyncio.run(run())]
    assert 20 <= dependencies.count("gateway") < MAX_WAITING
    assert dependencies.count("gateway") + dependencies.count("postgres") == len(dependencies)


def test_a_busy_database_is_not_reported_as_unavailable(url):
    """A query that waits too long for a connection is rejected; nothing is unavailable."""

    async def run():
        nap = "SELECT pg_sleep(0.5)::text AS pause, pg_backend_pid() AS pid"  # 48 are served in time
        async with opened(url) as database:
            asked = [database.fetch_all(nap, {}, Pause) for _ in range(MAX_WAITING // 2)]
            return await asyncio.gather(*asked, return_exceptions=True)

    dependencies = [answer.dependency for answer in asyncio.run(run()) if isinstance(answer, DependencyUnavailable)]
    assert set(dependencies) == {"gateway"}


def test_a_pool_without_connections_is_reported_while_the_database_answers(url):
    async def run():
        async with opened(url) as database:
            liveness = Liveness(database, ImageRepository(database), check_seconds=0.05, stuck_seconds=0.2)
            watching = asyncio.create_task(liveness.watch())

            async def stuck():
                return liveness.failure

            async def well():
                return not liveness.failure

            await ImageRepository(database).check()
            lost = [await database._pool.getconn(TIMEOUT_SECONDS) for _ in range(CONNECTIONS)]  # noqa: SLF001
            await eventually(stuck)
            for connection in lost:
                await database._pool.putconn(connection)  # noqa: SLF001
            await eventually(well)
            watching.cancel()

    asyncio.run(run())


def test_an_unavailable_or_slow_database_is_no_reason_to_restart(fresh, url):
    async def run():
        async with opened(url) as database:
            liveness = Liveness(database, ImageRepository(database), check_seconds=0.01, stuck_seconds=0.02)
            with closing(psycopg.connect(fresh.owner)) as locker:
                locker.execute("LOCK TABLE progress")
                assert not await liveness._is_pool_stuck()  # noqa: SLF001
        async with opened("postgresql://gateway@127.0.0.1:1/nothing") as database:
            liveness = Liveness(database, ImageRepository(database), check_seconds=0, stuck_seconds=0.02)
            assert not await liveness._is_pool_stuck()  # noqa: SLF001

    asyncio.run(run())
