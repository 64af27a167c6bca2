"""Threads that run next to the consumer."""

from collections.abc import Callable
from threading import Event, Thread

import structlog

from thumbmill.core.errors import DependencyUnavailable

log = structlog.get_logger()


class ShutdownRequested(Exception):  # noqa: N818 - no error: the process is to end
    """Interrupts long work because the process is to end."""


def repeat(name: str, seconds: float, stop: Event, action: Callable[[], object]) -> Thread:
    """Start a thread that runs an action at an interval until stopped; errors are logged, and it continues."""

    def loop() -> None:
        while not stop.wait(seconds):
            try:
                action()
            except ShutdownRequested:
                return
            except DependencyUnavailable as error:
                log.warning("background_task_waits", task=name, error=str(error))
            except Exception:
                log.exception("background_task_failed", task=name)

    return start(name, loop)


def start(name: str, action: Callable[[], object]) -> Thread:
    """Run an action in a thread of its own, which does not keep the process alive."""
    thread = Thread(target=action, name=name, daemon=True)
    thread.start()
    return thread
