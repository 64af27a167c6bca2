"""Bounded waits: a response is delayed until something has changed, for as long as the client allows."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from thumbmill.gateway.http.disconnects import on_disconnect
from thumbmill.gateway.limits.limiter import limits_of
from thumbmill.gateway.live.hub import Hub
from thumbmill.gateway.live.selection import Selection
from thumbmill.gateway.live.subscriptions import Subscription
from thumbmill.gateway.problems import Code, Problem

VARY = {"Vary": "Prefer"}  # of every response that a client may wait for
PAUSE_SECONDS = 0.1  # between two reads after changes; the first change is followed by a read at once

T = TypeVar("T")


@dataclass(frozen=True)
class Waited(Generic[T]):
    """What was read last, and the number of seconds that the gateway was ready to wait for it."""

    result: T
    seconds: int

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the response."""
        return VARY | ({"Preference-Applied": f"wait={self.seconds}"} if self.seconds else {})


@dataclass(frozen=True)
class Waits:
    """Waits for changes."""

    hub: Hub

    async def until(
        self,
        request: Request,
        seconds: int,
        selection: Selection,
        read: Callable[[], Awaitable[T]],
        is_enough: Callable[[T], bool],
        *,
        reread_seconds: Callable[[T], float] = lambda _: math.inf,
    ) -> Waited[T]:
        """Read again at each change of the selection, until the result is enough or the time is over.

        Without a change, read again after the ``reread_seconds`` of the last result. With too many live
        connections, read once. Raise ClientDisconnect if the client leaves.
        """
        if seconds <= 0:
            return Waited(await read(), 0)
        try:
            with self.hub.subscribe("wait", selection, limits_of(request.scope)) as subscription:
                waiting = self._wait(request, seconds, subscription, read, is_enough, reread_seconds)
                return Waited(await waiting, seconds)
        except Problem as problem:
            if problem.code not in {Code.TOO_MANY_STREAMS, Code.RATE_LIMITED}:
                raise
        return Waited(await read(), 0)

    async def _wait(
        self,
        request: Request,
        seconds: int,
        subscription: Subscription,
        read: Callable[[], Awaitable[T]],
        is_enough: Callable[[T], bool],
        reread_seconds: Callable[[T], float],
    ) -> T:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        has_left = False

        def leave() -> None:
            nonlocal has_left
            has_left = True
            subscription.close()

        with on_disconnect(request.receive, leave):
            await self.hub.start()
            self.hub.follow(subscription)  # before the first read, so that no change comes in between
            result = await read()
            next_read_at = 0.0
            while not is_enough(result) and not subscription.is_closed and (left := deadline - loop.time()) > 0:
                pause = reread_seconds(result)
                items = await subscription.take(min(left, pause))
                if not items and left < pause:
                    break  # the time is over, or the client has left
                await asyncio.sleep(next_read_at - loop.time())
                next_read_at = loop.time() + PAUSE_SECONDS
                result = await read()
        if has_left:
            raise ClientDisconnect
        return result
