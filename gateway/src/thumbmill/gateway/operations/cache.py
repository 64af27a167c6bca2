"""A value that many requests read and one query computes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

SECONDS = 1.0  # at least, until the value is computed again
LOAD = 0.1  # of the time may be spent on computing it


class Cached(Generic[T]):
    """Computes a value at most once a second, and less often if that takes long: at most a tenth of the time."""

    def __init__(self, compute: Callable[[], Awaitable[T]]) -> None:
        self._compute = compute
        self._lock = asyncio.Lock()
        self._value: T | None = None
        self._expires = float("-inf")

    async def get(self) -> T:
        """Return the value. Raise what the computation raises, which is not kept."""
        async with self._lock:
            loop = asyncio.get_running_loop()
            if self._value is None or loop.time() >= self._expires:
                began = loop.time()
                self._value = await self._compute()
                self._expires = loop.time() + max(SECONDS, (loop.time() - began) / LOAD)
            return self._value
