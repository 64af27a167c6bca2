"""Limits on open connections, and on those whose unread input is drained."""

from typing import Protocol


class Connection(Protocol):
    """A connection of a client."""

    def abort_connection(self) -> None:
        """Close without an answer."""

    def resume_reading(self) -> None:
        """Continue to read."""


class ConnectionLimiter:
    """The open connections, up to a limit.

    A new connection beyond the limit closes the oldest idle one. Its client is silent, or can send a later request
    on another connection. So silent clients do not block others, however many there are.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: set[Connection] = set()
        self._idle: dict[Connection, None] = {}  # in the order in which they became idle

    def add(self, connection: Connection) -> bool:
        """Add a new connection; return whether it may stay open."""
        self._open.add(connection)
        self._idle[connection] = None
        if len(self._open) <= self._limit:
            return True
        oldest = next(iter(self._idle))
        self.remove(oldest)
        if oldest is connection:
            return False
        oldest.abort_connection()
        return True

    def remove(self, connection: Connection) -> None:
        """Remove a connection, if it is present."""
        self._open.discard(connection)
        self._idle.pop(connection, None)

    def mark_busy(self, connection: Connection) -> None:
        """Record that a request arrived that has to be answered."""
        self._idle.pop(connection, None)

    def mark_idle(self, connection: Connection) -> None:
        """Record that every request was answered."""
        if connection in self._open:
            self._idle[connection] = None


class DrainQueue:
    """Connections whose unread input is read and dropped, a few at a time.

    Draining the bodies of a few hundred rejected uploads all at once would block the event loop for everything
    else.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._draining: set[Connection] = set()
        self._waiting: dict[Connection, None] = {}

    def add(self, connection: Connection) -> bool:
        """Return whether a connection may be drained now; otherwise it waits until ``resume_reading`` is called."""
        if len(self._draining) < self._limit:
            self._draining.add(connection)
            return True
        self._waiting[connection] = None
        return False

    def remove(self, connection: Connection) -> None:
        """Remove a connection, and start to drain the next one if this one was drained."""
        self._waiting.pop(connection, None)
        if connection not in self._draining:
            return
        self._draining.discard(connection)
        if self._waiting:
            following = next(iter(self._waiting))
            del self._waiting[following]
            self._draining.add(following)
            following.resume_reading()
