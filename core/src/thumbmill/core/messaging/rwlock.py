"""A reader-writer lock: many threads hold it at once, or one holds it exclusively."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class ReaderWriterLock:
    """A lock that many threads can share, or one can hold exclusively. Exclusive requests have priority."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._holders = 0
        self._exclusive_requests = 0  # waiting or holding

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Hold the lock together with others, once no thread has it or waits for it exclusively."""
        with self._changed:
            self._changed.wait_for(lambda: self._exclusive_requests == 0)
            self._holders += 1
        try:
            yield
        finally:
            with self._changed:
                self._holders -= 1
                self._changed.notify_all()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock while no other thread does."""
        with self._changed:
            self._exclusive_requests += 1
            self._changed.wait_for(lambda: self._holders == 0)
            self._holders += 1
        try:
            yield
        finally:
            with self._changed:
                self._holders -= 1
                self._exclusive_requests -= 1
                self._changed.notify_all()
