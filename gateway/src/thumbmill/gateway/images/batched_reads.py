"""Reads of single rows that many clients ask for at the same time, by one query for all of them."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

WAIT_SECONDS = 0.05  # for the query before; a server that hangs delays later reads by no more

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass
class _Batch(Generic[K, V]):
    """The keys of a query that has not begun, and its result."""

    keys: set[K] = field(default_factory=set)
    result: "asyncio.Future[Callable[[K], V]]" = field(default_factory=asyncio.Future)


class BatchedReads(Generic[K, V]):
    """Reads at once while nothing is being read. What is asked for meanwhile is read by the next query.

    So nobody gets what was read before they asked. ``read`` gets the keys, and returns a function from a key to its
    value.
    """

    def __init__(self, read: Callable[[Collection[K]], Awaitable[Callable[[K], V]]]) -> None:
        self._read = read
        self._running: asyncio.Task[None] | None = None
        self._next: _Batch[K, V] | None = None

    async def get(self, key: K) -> V:
        """Return the value of a key, or raise what its query raises. A cancelled caller cancels no query."""
        if self._next is None:
            self._next = _Batch()
            self._running = asyncio.create_task(self._run(self._next, self._running))
        batch = self._next
        batch.keys.add(key)
        return (await asyncio.shield(batch.result))(key)

    async def _run(self, batch: _Batch[K, V], before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await asyncio.wait({before}, timeout=WAIT_SECONDS)
        self._next = None
        try:
            batch.result.set_result(await self._read(batch.keys))
        except Exception as error:  # noqa: BLE001 - each of the callers gets it
            batch.result.set_exception(error)
            batch.result.exception()  # mark it as retrieved: all callers may have left
