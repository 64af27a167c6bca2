"""How many connections are open at once, which of them gives way when one more comes, and whose turn it is."""

from typing import Protocol


class Connection(Protocol):
    """What is counted."""

    def abort_connection(self) -> None:
        """Close without a word."""

    def resume(self) -> None:
        """Read on."""


class ConnectionLimiter:
    """The open connections, of which there are at most so many.

    One that has no request under way is closed for a new one, the oldest first: it is silent, or kept for a next
    request that its client can send again on another. So silence holds nobody up, however many keep it.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: set[Connection] = set()
        self._idle: dict[Connection, None] = {}  # in the order in which they became idle

    def enter(self, connection: Connection) -> bool:
        """Count a new connection; tell whether there is room for it."""
        self._open.add(connection)
        self._idle[connection] = None
        if len(self._open) <= self._limit:
            return True
        oldest = next(iter(self._idle))
        self.leave(oldest)
        if oldest is connection:
            return False
        oldest.abort_connection()
        return True

    def leave(self, connection: Connection) -> None:
        """Forget a connection; one that was forgotten already is no fault."""
        self._open.discard(connection)
        self._idle.pop(connection, None)

    def note_busy(self, connection: Connection) -> None:
        """Take note that a request has come, which has to be answered."""
        self._idle.pop(connection, None)

    def note_idle(self, connection: Connection) -> None:
        """Take note that every request was answered."""
        if connection in self._open:
            self._idle[connection] = None


class DrainQueue:
    """Connections whose unread input is read and dropped, few at a time.

    Else the bodies of a few hundred refused uploads, read all at once, would keep the loop from everything else.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._reading: set[Connection] = set()
        self._waiting: dict[Connection, None] = {}

    def enter(self, connection: Connection) -> bool:
        """Tell whether a connection may be read now; else it waits for its turn, which ``resume`` tells it of."""
        if len(self._reading) < self._limit:
            self._reading.add(connection)
            return True
        self._waiting[connection] = None
        return False

    def leave(self, connection: Connection) -> None:
        """Have the next one read, if this one was."""
        self._waiting.pop(connection, None)
        if connection not in self._reading:
            return
        self._reading.discard(connection)
        if self._waiting:
            following = next(iter(self._waiting))
            del self._waiting[following]
            self._reading.add(following)
            following.resume()
