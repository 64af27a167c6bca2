"""Wait for the status tracker by reading until what it records is there."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

TIMEOUT_SECONDS = 3  # for the tracker, which records its progress every second
POLL_SECONDS = 0.15


async def poll_tracker(read: Callable[[], Awaitable[T]], is_final: Callable[[T], bool]) -> T:
    """Read until the result is final, or the tracker has had its time. Return the last result."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + TIMEOUT_SECONDS
    result = await read()
    while not is_final(result) and loop.time() < deadline:
        await asyncio.sleep(POLL_SECONDS)
        result = await read()
    return result
