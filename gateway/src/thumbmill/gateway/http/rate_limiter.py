"""A rate limit for each client, as a token bucket (https://en.wikipedia.org/wiki/Token_bucket)."""

import time
from collections.abc import Callable


class RateLimiter:
    """Allows a number of requests per minute and client, with bursts of one minute's worth; 0 means no limit.

    Clients are named by their API key, so there are few. Without API keys, all clients share one name.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}  # tokens, and the time at which they were counted

    def acquire(self, client: str) -> float:
        """Take a token and return 0, or return the seconds until there is one."""
        if not self._per_minute:
            return 0.0
        now, seconds_per_token = self._clock(), 60 / self._per_minute
        tokens, counted_at = self._buckets.get(client, (float(self._per_minute), now))
        tokens = min(float(self._per_minute), tokens + (now - counted_at) / seconds_per_token)
        is_allowed = tokens >= 1
        self._buckets[client] = (tokens - 1 if is_allowed else tokens, now)
        return 0.0 if is_allowed else (1 - tokens) * seconds_per_token
