"""How often a client may do something: a bucket of tokens for each (https://en.wikipedia.org/wiki/Token_bucket)."""

import time
from collections.abc import Callable


class RateLimiter:
    """So many a minute for each client, all of them at once if it has been quiet; 0 is any number.

    Clients are those that showed a key, so they are few; where there are no keys, everybody is one.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}  # tokens, and as of when

    def take(self, client: str) -> float:
        """Take a token, or return the seconds until there is one."""
        if not self._per_minute:
            return 0.0
        now, each = self._clock(), 60 / self._per_minute
        tokens, since = self._buckets.get(client, (float(self._per_minute), now))
        tokens = min(float(self._per_minute), tokens + (now - since) / each)
        taken = tokens >= 1
        self._buckets[client] = (tokens - 1 if taken else tokens, now)
        return 0.0 if taken else (1 - tokens) * each
