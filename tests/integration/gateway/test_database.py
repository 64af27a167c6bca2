"""The gateway's connections to Postgres: none is ever lost, whatever becomes of those who asked."""

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
def url(clean):
    return clean.stack.endpoints.database("gateway")


@dataclass
class Nap:
    pause: str
    pid: int


async def serve_at_once(database):
    """Return how many connections Postgres works on at the same time."""
    nap = "SELECT pg_sleep(0.2)::text AS pause, pg_backend_pid() AS pid"
    rows = await asyncio.gather(*[database.fetch_all(nap, {}, Nap) for _ in range(4 * CONNECTIONS)])
    return len({row[0].pid for row in rows})


async def eventually(question):
    """Wait until an asynchronous question is answered by yes."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        while not await question():  # noqa: ASYNC110 - what it asks for raises no event
            await asyncio.sleep(0.05)


def test_whoever_gives_up_takes_no_connection_along(url):
    """Overload cost connections: who asked was cancelled while the pool gave one out, or took one back."""

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

            await eventually(serves_all)  # a pool grows by and by

    asyncio.run(run())


def test_no_query_takes_longer_than_the_role_may(url):
    """Or queries that nobody waits for any more would hold all connections."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == ("4s",)

    async def run():
        async with opened(url) as database:
            await database.fetch_all("SELECT pg_sleep(60)::text AS pause, 0 AS pid", {}, Nap)

    with pytest.raises(DependencyUnavailable, match="statement timeout"):
        asyncio.run(run())


def test_more_questions_than_can_be_answered_are_refused_at_once(clean, url):
    async def run():
        async with opened(url) as database:
            await ImageRepository(database).check()
            with closing(psycopg.connect(clean.owner)) as locker:
                locker.execute("LOCK TABLE progress")
                asked = [ImageRepository(database).check() for _ in range(CONNECTIONS + MAX_WAITING + 20)]
                answers = await asyncio.gather(*asked, return_exceptions=True)
        return answers

    unavailable = [answer.dependency for answer in asyncio.run(run())]
    assert 20 <= unavailable.count("gateway") < MAX_WAITING
    assert unavailable.count("gateway") + unavailable.count("postgres") == len(unavailable)


def test_a_database_that_serves_others_is_not_called_away(url):
    """Whoever waited in vain because many were served before it is one too many; nothing is away."""

    async def run():
        nap = "SELECT pg_sleep(0.5)::text AS pause, pg_backend_pid() AS pid"  # 48 are served in time
        async with opened(url) as database:
            asked = [database.fetch_all(nap, {}, Nap) for _ in range(MAX_WAITING // 2)]
            return await asyncio.gather(*asked, return_exceptions=True)

    unavailable = [answer.dependency for answer in asyncio.run(run()) if isinstance(answer, DependencyUnavailable)]
    assert set(unavailable) == {"gateway"}


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


def test_a_database_that_is_away_or_slow_is_no_reason_to_restart(clean, url):
    async def run():
        async with opened(url) as database:
            liveness = Liveness(database, ImageRepository(database), check_seconds=0.01, stuck_seconds=0.02)
            with closing(psycopg.connect(clean.owner)) as locker:
                locker.execute("LOCK TABLE progress")
                assert not await liveness._is_pool_stuck()  # noqa: SLF001
        async with opened("postgresql://gateway@127.0.0.1:1/nothing") as database:
            liveness = Liveness(database, ImageRepository(database), check_seconds=0, stuck_seconds=0.02)
            assert not await liveness._is_pool_stuck()  # noqa: SLF001

    asyncio.run(run())
