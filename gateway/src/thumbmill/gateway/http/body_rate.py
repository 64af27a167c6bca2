"""Limits on how slowly a request body may arrive: a minimum rate over a window, and a deadline.

Only the time spent waiting for the client counts, not the time in which the object store receives a part.
"""

import asyncio
from dataclasses import dataclass

from starlette.types import Message, Receive

from thumbmill.gateway.problems import Code, Problem

WINDOW_SECONDS = 30  # long enough for a phone that switches between cells
GRACE_SECONDS = 3  # before this time no body counts as slow


@dataclass(frozen=True)
class BodyRateLimits:
    """Limits for one body. 1 KiB/s is a tenth of what the slowest mobile network provides."""

    bytes_per_second: float = 1024
    deadline_seconds: float = 900
    window_seconds: float = WINDOW_SECONDS


class BodyRateMonitor:
    """Receives one body and measures its rate."""

    def __init__(self, limits: BodyRateLimits) -> None:
        self._limits = limits
        self._bytes = 0  # received in this window
        self._waited = 0.0  # seconds in this window, without the current wait
        self._waited_before = 0.0  # in earlier windows
        self._wait: asyncio.Timeout | None = None
        self._wait_started = 0.0
        self._is_evicted = False

    async def receive(self, receive: Receive) -> Message:
        """Return the next message. Raise Problem if the body is too slow or was evicted."""
        while True:
            message = await self._receive(receive)
            if message is not None:
                self._bytes += len(message.get("body", b""))
            if self._is_evicted:
                raise Problem(Code.UPLOAD_STALLED, "this slow upload was stopped to free its slot for others")
            if self._waited >= self._limits.window_seconds:
                self._close_window()
            elif message is None:
                raise Problem(
                    Code.UPLOAD_STALLED, f"the limit for a request body is {self._limits.deadline_seconds:g} s"
                )
            if message is not None:
                return message

    @property
    def shortfall(self) -> float:
        """Number of bytes that this window is short of the minimum rate so far; 0 if it is fast enough."""
        waited = self._waited
        if self._wait is not None:
            waited += asyncio.get_running_loop().time() - self._wait_started
        if waited < GRACE_SECONDS:
            return 0
        return max(0.0, waited * self._limits.bytes_per_second - self._bytes)

    def evict(self) -> None:
        """Stop waiting for this body, so that another upload gets its slot."""
        self._is_evicted = True
        if self._wait is not None:
            self._wait.reschedule(asyncio.get_running_loop().time())

    async def _receive(self, receive: Receive) -> Message | None:
        """Wait for a message until the window or the deadline ends; return None if there is none by then."""
        window_left = self._limits.window_seconds - self._waited
        deadline_left = self._limits.deadline_seconds - self._waited_before - self._waited
        self._wait_started = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(min(window_left, deadline_left)) as self._wait:
                return await receive()
        except TimeoutError:
            return None
        finally:
            self._wait = None
            self._waited += asyncio.get_running_loop().time() - self._wait_started

    def _close_window(self) -> None:
        minimum = self._limits.bytes_per_second * self._limits.window_seconds
        if self._bytes < minimum:
            raise Problem(
                Code.UPLOAD_STALLED,
                f"less than {minimum:.0f} bytes arrived within {self._limits.window_seconds:g} s",
            )
        self._waited_before += self._waited
        self._waited = 0.0
        self._bytes = 0
