"""Reactions of a running command to SIGINT (Ctrl-C) and SIGTERM."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event


def raise_on_signals() -> None:
    """Make SIGINT and SIGTERM raise KeyboardInterrupt; shells start background jobs with SIGINT ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


@contextmanager
def stop_on_signals() -> Iterator[Event]:
    """Yield an event that SIGINT and SIGTERM set, so that the caller can stop between two steps."""
    stop = Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
