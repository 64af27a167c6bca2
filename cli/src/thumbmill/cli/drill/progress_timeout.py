"""How long a drill waits for a system to settle."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Patience:
    """So many seconds without progress: they begin anew whenever fewer are left than ever before.

    A backlog takes as long as it takes, above all on a busy machine; what stands still is stuck.
    """

    seconds: float
    clock: Callable[[], float] = time.monotonic
    _fewest: tuple[float, ...] = field(default=(math.inf,), init=False)
    _since: float = field(default=0.0, init=False)

    def lasts(self, *left: int) -> bool:
        """Tell whether to go on waiting for those that are left; of several counts the first weighs most."""
        now = self.clock()
        if left < self._fewest:
            self._fewest, self._since = left, now
        return now < self._since + self.seconds
