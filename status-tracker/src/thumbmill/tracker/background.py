"""Doing something again and again beside the consumer."""

from collections.abc import Callable
from threading import Event, Thread

import structlog

from thumbmill.core.errors import DependencyUnavailable

log = structlog.get_logger()


def repeat(name: str, seconds: float, stop: Event, action: Callable[[], object]) -> Thread:
    """Start a thread that acts every so often until stopped; a fault is logged and the next turn tries again."""

    def turn() -> None:
        while not stop.wait(seconds):
            try:
                action()
            except DependencyUnavailable as away:
                log.warning("waits", what=name, fault=str(away))
            except Exception:
                log.exception("turn_failed", what=name)

    return start(name, turn)


def start(name: str, action: Callable[[], object]) -> Thread:
    """Run something in a thread of its own, which does not keep the process alive."""
    thread = Thread(target=action, name=name, daemon=True)
    thread.start()
    return thread
