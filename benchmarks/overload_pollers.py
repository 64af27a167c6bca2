"""The pollers of the overload benchmark, in a process of their own: the uploads' client must not delay them."""

import asyncio
import multiprocessing
import random
from multiprocessing.connection import Connection

import uvloop

from benchmarks.overload_clients import Tally, poll

EVERY_SECONDS = 1.0  # as the Retry-After of a status that is not final demands


class Pollers:
    """Clients that poll one image's status once a second, from construction until ``stop``."""

    def __init__(self, port: int, path: str, number: int) -> None:
        context = multiprocessing.get_context("spawn")  # a forked child would inherit a running event loop
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_run, args=(port, path, number, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self._connection.recv()  # it is ready

    @property
    def pid(self) -> int:
        assert self._process.pid is not None  # it was started
        return self._process.pid

    def stop(self) -> Tally:
        """End the polling and return its measurements."""
        self._connection.send(None)
        tally: Tally = self._connection.recv()
        self._process.join()
        return tally


def _run(port: int, path: str, number: int, connection: Connection) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        connection.send(runner.run(_poll(port, path, number, connection)))


async def _poll(port: int, path: str, number: int, connection: Connection) -> Tally:
    tally, stop = Tally(), asyncio.Event()
    connection.send(None)
    async with asyncio.TaskGroup() as tasks:
        for _ in range(number):
            after = random.uniform(0, EVERY_SECONDS)  # noqa: S311 - spreads the pollers over the period
            tasks.create_task(poll(port, path, tally, stop, every=EVERY_SECONDS, after=after))
        await asyncio.to_thread(connection.recv)
        stop.set()
    return tally
