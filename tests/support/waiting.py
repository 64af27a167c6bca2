"""Waiting for a condition; every test waits like this."""

import time
from collections.abc import Callable
from threading import Event
from typing import TypeVar

T = TypeVar("T")

_TICK = Event()  # never set: its wait is a pause


def wait_until(predicate: Callable[[], T], timeout: float = 30, what: str = "the condition") -> T:
    """Return the first true result of the predicate; fail with the last one after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        answer = predicate()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s for {what}; last result: {answer!r}")
        _TICK.wait(0.05)
