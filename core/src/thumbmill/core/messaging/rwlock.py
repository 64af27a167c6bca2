"""A narrow place: many may walk side by side, or one alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class ReaderWriterLock:
    """A lock that many threads share, and that one can have for itself; those who wait for it alone go first."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._inside = 0
        self._waiting_alone = 0

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Walk beside others, unless somebody is or wants to be alone."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting_alone == 0)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Walk with nobody else inside."""
        with self._changed:
            self._waiting_alone += 1
            self._changed.wait_for(lambda: self._inside == 0)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._waiting_alone -= 1
                self._changed.notify_all()
