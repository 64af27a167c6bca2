"""Many reads become few queries, and nobody gets what was read before they asked."""

import asyncio

import pytest

from thumbmill.gateway.images import batched_reads
from thumbmill.gateway.images.batched_reads import BatchedReads


class Source:
    """Answers a query when the test says so, with the number of the query for each key."""

    def __init__(self):
        self.queries = []
        self.answers = []
        self.begun = asyncio.Queue()

    async def read(self, keys):
        number = len(self.queries)
        self.queries.append(sorted(keys))
        self.answers.append(asyncio.Future())
        self.begun.put_nowait(number)
        await self.answers[number]
        return lambda key: (key, number)


def run(scenario):
    async def bounded():
        source = Source()
        async with asyncio.timeout(30):
            await scenario(BatchedReads(source.read), source)

    asyncio.run(bounded())


@pytest.fixture
def patient(monkeypatch):
    """Let later reads wait for an earlier query as long as it takes."""
    monkeypatch.setattr(batched_reads, "WAIT_SECONDS", None)


def test_what_is_asked_for_during_a_query_is_read_by_the_next(patient):
    async def scenario(reads, source):
        first = asyncio.create_task(reads.get("a"))
        await source.begun.get()
        others = [asyncio.create_task(reads.get(key)) for key in "abc"]
        for _ in range(10):  # a query that did not wait would begin
            await asyncio.sleep(0)
        assert source.queries == [["a"]]
        source.answers[0].set_result(None)
        assert await first == ("a", 0)
        await source.begun.get()
        source.answers[1].set_result(None)
        assert await asyncio.gather(*others) == [("a", 1), ("b", 1), ("c", 1)]
        assert source.queries == [["a"], ["a", "b", "c"]]

    run(scenario)


def test_a_query_that_hangs_does_not_hold_up_the_next():
    async def scenario(reads, source):
        hanging = asyncio.create_task(reads.get("a"))
        await source.begun.get()
        later = asyncio.create_task(reads.get("b"))
        await source.begun.get()
        source.answers[1].set_result(None)
        assert await later == ("b", 1)
        assert not hanging.done()
        source.answers[0].set_result(None)
        await hanging

    run(scenario)


def test_an_error_reaches_those_who_asked_and_not_the_next(patient):
    async def scenario(reads, source):
        failing = [asyncio.create_task(reads.get(key)) for key in "ab"]
        await source.begun.get()
        later = asyncio.create_task(reads.get("c"))
        source.answers[0].set_exception(OSError("away"))
        for error in await asyncio.gather(*failing, return_exceptions=True):
            assert isinstance(error, OSError)
        await source.begun.get()
        source.answers[1].set_result(None)
        assert await later == ("c", 1)

    run(scenario)


def test_a_caller_that_leaves_cancels_no_query(patient):
    async def scenario(reads, source):
        leaving, staying = (asyncio.create_task(reads.get(key)) for key in "ab")
        await source.begun.get()
        leaving.cancel()
        await asyncio.sleep(0)
        source.answers[0].set_result(None)
        assert await staying == ("b", 0)

    run(scenario)
