"""What Ctrl-C and a supervisor's SIGTERM do to a command at work."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event


def raise_on_signals() -> None:
    """Have SIGINT and SIGTERM raise KeyboardInterrupt; even the former is ignored in the background of a script."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


@contextmanager
def stop_on_signals() -> Iterator[Event]:
    """Have SIGINT and SIGTERM ask the work to end, which it does where nothing is half done."""
    stop = Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
