"""What Ctrl-C and a supervisor's SIGTERM do to a command at work."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event


@contextmanager
def stoppable() -> Iterator[Event]:
    """Have SIGINT and SIGTERM ask the work to end, which it does where nothing is half done."""
    stop = Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
