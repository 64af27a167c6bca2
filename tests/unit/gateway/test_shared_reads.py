import asyncio

from tests.unit.gateway.live_fakes import run
from thumbmill.gateway.live.shared_reads import SharedReads

CLIENTS = 400


class Table:
    """A table that can be read, slowly, and counts its reads."""

    def __init__(self):
        self.value = self.reads = self.reading = self.most = 0

    async def read(self):
        self.reads += 1
        self.reading += 1
        self.most = max(self.most, self.reading)
        value = self.value
        await asyncio.sleep(1)
        self.reading -= 1
        return value


def test_clients_that_ask_meanwhile_share_the_next_read():
    async def scenario():
        shared, table = SharedReads(), Table()
        first = asyncio.create_task(shared.get("key", table.read))
        await asyncio.sleep(0.5)
        table.value = 1
        later = [asyncio.create_task(shared.get("key", table.read)) for _ in range(CLIENTS)]
        return await first, set(await asyncio.gather(*later)), table

    first, later, table = run(scenario())
    assert (first, later) == (0, {1})  # nobody gets what was read before they asked
    assert (table.reads, table.most) == (2, 1)


def test_a_client_that_leaves_takes_no_read_from_the_others():
    async def scenario():
        shared, table = SharedReads(), Table()
        leaving = asyncio.create_task(shared.get("key", table.read))
        staying = asyncio.create_task(shared.get("key", table.read))
        await asyncio.sleep(0.5)
        leaving.cancel()
        return await staying, await shared.get("another", table.read), await shared.get("key", table.read)

    assert run(scenario()) == (0, 0, 0)


def test_an_error_reaches_those_who_asked_and_is_not_kept():
    async def scenario():
        shared, table = SharedReads(), Table()

        async def fail():
            await asyncio.sleep(1)
            raise OSError

        results = await asyncio.gather(*[shared.get("key", fail) for _ in range(3)], return_exceptions=True)
        assert [type(result) for result in results] == [OSError] * 3
        return await shared.get("key", table.read)

    assert run(scenario()) == 0
