"""Places that clients share: of concurrent uploads, and of live connections.

A client that holds some leaves the last free place to others, and holds at most eight times as many as it leaves
free: a dynamic threshold, by which switches share their buffers. So a flood gets 28 of 32 places, and whoever else
comes gets one at once. Nothing has to be known about who will come (docs/decisions/021-fair-places.md).
"""

from collections import Counter

from thumbmill.gateway.access.principal import Principal

FLOOD_FACTOR = 8


def may_take(held: int, free: int) -> bool:
    """Return whether a client that holds some places may take one of those that are free. Pure."""
    left = free - 1
    return left >= 0 and (held == 0 or held < FLOOD_FACTOR * left)


class Places:
    """A number of places, and how many each client holds."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.used = 0
        self._held: Counter[tuple[str, str]] = Counter()

    def held_by(self, client: Principal) -> int:
        """Return how many places a client holds."""
        return self._held[_name_of(client)]

    def are_free_for(self, client: Principal) -> bool:
        """Return whether a client may take a place. Without keys, all clients are one, which may have them all."""
        free = self.total - self.used
        return free > 0 if client.key_id is None else may_take(self.held_by(client), free)

    def take(self, client: Principal) -> None:
        """Give a place to a client."""
        self.used += 1
        self._held[_name_of(client)] += 1

    def free(self, client: Principal) -> None:
        """Take a place back."""
        name = _name_of(client)
        self.used -= 1
        self._held[name] -= 1
        if not self._held[name]:
            del self._held[name]


def _name_of(client: Principal) -> tuple[str, str]:
    return client.tenant, client.name
