"""A timeout that progress restarts."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class ProgressTimeout:
    """A number of seconds without progress; they start again when fewer items remain than ever before.

    A backlog may take long, above all on a busy machine, so only a backlog that no longer shrinks counts as stuck.
    """

    seconds: float
    clock: Callable[[], float] = time.monotonic
    _fewest: tuple[float, ...] = field(default=(math.inf,), init=False)
    _since: float = field(default=0.0, init=False)

    def has_time_left(self, *remaining: int) -> bool:
        """Return whether to keep waiting for the remaining items; of several counts the first weighs most."""
        now = self.clock()
        if remaining < self._fewest:
            self._fewest, self._since = remaining, now
        return now < self._since + self.seconds
