"""Noticing that a client has left while its response waits for something."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.types import Receive

ABORT = "thumbmill.abort"  # key in the ASGI scope: closes the connection at once, without what it has not read


@contextmanager
def on_disconnect(receive: Receive, call: Callable[[], None]) -> Iterator[None]:
    """Call a function when the client disconnects within the block."""
    listening = asyncio.create_task(_wait_for_disconnect(receive))
    listening.add_done_callback(lambda task: None if task.cancelled() else call())
    try:
        yield
    finally:
        listening.cancel()


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
