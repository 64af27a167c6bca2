"""Decides when to batch events: a transaction for twenty of them costs little more than one for a single event.

Measured at 40 images a second, 4 events each, tracker and Postgres together: 7 ms of CPU an image if every event
is written as it comes, 2 ms with these pauses; 0.8 ms in full batches.
"""

import time
from collections.abc import Callable

UNBATCHED_PER_SECOND = 50  # events that are written one by one: a dozen images a second
MAX_BUDGET = 20  # as many more after a quiet time
PAUSE_SECONDS = 0.1  # beyond that budget; no client notices it under such load


class BatchDelay:
    """A budget of events that are written at once; a consumer asks it how long to pause."""

    def __init__(self, full_batch: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._full_batch = full_batch
        self._clock = clock
        self._budget = float(MAX_BUDGET)
        self._last = clock()

    def __call__(self, size: int) -> float:
        """Return the seconds to pause after a batch: 0 while there is budget, or if there is a backlog."""
        now = self._clock()
        self._budget = min(MAX_BUDGET, self._budget + (now - self._last) * UNBATCHED_PER_SECOND)
        self._last = now
        self._budget = max(0, self._budget - size)
        return 0 if self._budget > 0 or size >= self._full_batch else PAUSE_SECONDS
