"""Calls that block, in threads of a bounded number."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from thumbmill.core.errors import DependencyUnavailable

P = ParamSpec("P")
T = TypeVar("T")


class BoundedExecutor:
    """A few threads for calls to one server, so that its troubles hold up nobody else.

    One thread of its own also does what a lock would: calls come one after the other.
    """

    def __init__(self, dependency: str, size: int, *, deadline_seconds: float) -> None:
        self._dependency = dependency
        self._deadline_seconds = deadline_seconds
        self._pool = ThreadPoolExecutor(size, dependency)

    def start(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[T]":
        """Have a thread make the call, however long it takes."""
        return asyncio.get_running_loop().run_in_executor(self._pool, partial(call, *args, **kwargs))

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make the call and wait for its result. Raises DependencyAway where that takes too long."""
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return await self.start(call, *args, **kwargs)
        except TimeoutError as error:
            raise DependencyUnavailable(self._dependency, f"no answer in {self._deadline_seconds:g} s") from error

    def close(self) -> None:
        """Drop what has not begun; what runs ends by its own timeouts."""
        self._pool.shutdown(wait=False, cancel_futures=True)
