"""Decides when to write events: a transaction for twenty of them costs little more than one for a single event.

Somebody waits for the end of an image, so it is written as it comes, with all that waits. The other events of the
usual path wait a moment for it: on an idle system one transaction writes all that happened to an image. Under load
the ends wait as well.
"""

import time
from collections.abc import Callable, Sequence

from thumbmill.core.contracts.base import EventType
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.topology import DURABLE, IMMEDIATE

WAIT_SECONDS = 0.1  # for other events; the eye takes less for instant
AT_ONCE_PER_SECOND = 10  # events that are written as they come, in the long run
MAX_AT_ONCE = 10  # as many more after a quiet time
# By their routing keys. Not listed is what ends something, or what an operator or an uploader asked for.
_CAN_WAIT = frozenset({IMMEDIATE, DURABLE, EventType.PROCESSING.value, EventType.WATERMARK.value})


class BatchDelay:
    """A budget of batches that are written at once; a consumer asks it how long to wait for more messages."""

    def __init__(self, full_batch: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._full_batch = full_batch
        self._clock = clock
        self._budget = float(MAX_AT_ONCE)
        self._last = clock()

    def __call__(self, messages: Sequence[Message]) -> float:
        """Return how long messages may wait, in seconds since the first arrived; 0 takes one from the budget."""
        if len(messages) >= self._full_batch:
            return 0
        if all(message.routing_key in _CAN_WAIT for message in messages):
            return WAIT_SECONDS
        now = self._clock()
        self._budget = min(MAX_AT_ONCE, self._budget + (now - self._last) * AT_ONCE_PER_SECOND)
        self._last = now
        if self._budget < 1:
            return WAIT_SECONDS
        self._budget -= 1
        return 0
