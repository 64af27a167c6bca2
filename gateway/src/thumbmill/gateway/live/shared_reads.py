"""Reads that many clients ask for at the same moment.

Hundreds of clients may wait for the same change. One query each would take all connections to the database for
seconds, also from the other requests and from the hub.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SharedReads(Generic[K, T]):
    """Does one read at a time for each key. Those who ask meanwhile share the next one.

    So nobody gets what was read before they asked.
    """

    def __init__(self) -> None:
        self._running: dict[K, asyncio.Task[T]] = {}
        self._next: dict[K, asyncio.Task[T]] = {}

    async def get(self, key: K, read: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what the next read returns, or raise what it raises. A cancelled caller cancels no read."""
        task = self._next.get(key)
        if task is None:
            task = self._next[key] = asyncio.create_task(self._run(key, self._running.get(key), read))
        return await asyncio.shield(task)

    async def _run(self, key: K, before: "asyncio.Task[T] | None", read: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if before is not None:
            await asyncio.wait({before})
        self._running[key] = self._next.pop(key)
        try:
            return await read()
        finally:
            del self._running[key]
