"""How fast a body comes: a least rate over a window, and a deadline.

Time counts only while we wait for the client: what the store takes for a part is not the client's.
"""

import asyncio
from dataclasses import dataclass

from starlette.types import Message, Receive

from thumbmill.gateway.problems import Code, Problem

WINDOW_SECONDS = 30  # long enough for a phone between two cells
SETTLED_SECONDS = 3  # before that nobody is called slow


@dataclass(frozen=True)
class BodyRateLimits:
    """What is asked of a body; 1 KiB a second is a tenth of what the slowest mobile network gives."""

    bytes_per_second: float = 1024
    deadline_seconds: float = 900
    window_seconds: float = WINDOW_SECONDS


class BodyRateMonitor:
    """Watches one body on its way."""

    def __init__(self, limits: BodyRateLimits) -> None:
        self._limits = limits
        self._bytes = 0  # in this window
        self._waited = 0.0  # seconds in this window, without the present wait
        self._waited_before = 0.0  # in earlier windows
        self._wait: asyncio.Timeout | None = None
        self._wait_began = 0.0
        self._is_evicted = False

    async def next(self, receive: Receive) -> Message:
        """Wait for the next message. Raises Problem for a body that is too slow, or has to give way to another."""
        while True:
            message = await self._receive(receive)
            if message is not None:
                self._bytes += len(message.get("body", b""))
            if self._is_evicted:
                raise Problem(Code.UPLOAD_STALLED, "others waited for the place of this slow upload")
            if self._waited >= self._limits.window_seconds:
                self._judge_window()
            elif message is None:
                raise Problem(Code.UPLOAD_STALLED, f"the limit for a body is {self._limits.deadline_seconds:g} s")
            if message is not None:
                return message

    @property
    def shortfall(self) -> float:
        """Return by how much this window falls short of the least rate so far, in bytes; 0 for one fast enough."""
        waited = self._waited
        if self._wait is not None:
            waited += asyncio.get_running_loop().time() - self._wait_began
        if waited < SETTLED_SECONDS:
            return 0
        return max(0.0, waited * self._limits.bytes_per_second - self._bytes)

    def evict(self) -> None:
        """End the wait for this body, so that another has its place."""
        self._is_evicted = True
        if self._wait is not None:
            self._wait.reschedule(asyncio.get_running_loop().time())

    async def _receive(self, receive: Receive) -> Message | None:
        """Wait for a message until window or deadline end; None where they do first."""
        window_left = self._limits.window_seconds - self._waited
        deadline_left = self._limits.deadline_seconds - self._waited_before - self._waited
        self._wait_began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(min(window_left, deadline_left)) as self._wait:
                return await receive()
        except TimeoutError:
            return None
        finally:
            self._wait = None
            self._waited += asyncio.get_running_loop().time() - self._wait_began

    def _judge_window(self) -> None:
        least = self._limits.bytes_per_second * self._limits.window_seconds
        if self._bytes < least:
            raise Problem(
                Code.UPLOAD_STALLED, f"less than {least:.0f} bytes came in {self._limits.window_seconds:g} s"
            )
        self._waited_before += self._waited
        self._waited = 0.0
        self._bytes = 0
