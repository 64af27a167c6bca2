"""Blocking calls in a bounded number of threads."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from thumbmill.core.errors import DependencyUnavailable

P = ParamSpec("P")
T = TypeVar("T")


class BoundedExecutor:
    """A few threads for calls to one dependency, so that its failures do not block other work.

    An executor with one thread also serializes its calls, as a lock would.
    """

    def __init__(self, dependency: str, size: int, *, deadline_seconds: float) -> None:
        self._dependency = dependency
        self._deadline_seconds = deadline_seconds
        self._pool = ThreadPoolExecutor(size, dependency)

    def submit(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[T]":
        """Run the call in a thread, without a deadline."""
        return asyncio.get_running_loop().run_in_executor(self._pool, partial(call, *args, **kwargs))

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the call in a thread and return its result. Raise DependencyUnavailable after the deadline."""
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return await self.submit(call, *args, **kwargs)
        except TimeoutError as error:
            raise DependencyUnavailable(self._dependency, f"no answer in {self._deadline_seconds:g} s") from error

    def close(self) -> None:
        """Cancel the calls that have not started; running calls end by their own timeouts."""
        self._pool.shutdown(wait=False, cancel_futures=True)
