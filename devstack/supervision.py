"""Restarts processes that exit, and gives up on one that keeps exiting."""

import signal
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Protocol

from devstack.errors import LaunchError

# A process that exits more often than this within the window would not be fixed by another restart.
MAX_RESTARTS = 3
WINDOW_SECONDS = 60.0
_POLL_SECONDS = 0.25


class Processes(Protocol):
    """The supervised processes: `Stack`, or a fake."""

    def find_exited(self) -> str | None:
        """Return the name of a process that exited, if there is one."""

    def exit_code(self, name: str) -> int | None:
        """Return its exit code (negative: the number of the signal)."""

    def log_tail(self, name: str) -> str:
        """Return the last lines of its log."""

    def revive(self, name: str) -> None:
        """Restart it and wait until it is ready. Raise LaunchError."""


def supervise(
    processes: Processes,
    log: Callable[[str], None],
    *,
    describe_exit: Callable[[int], str],
    is_stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Restart each process that exits, until `is_stopping`.

    Raise LaunchError for a process that exited more than MAX_RESTARTS times within WINDOW_SECONDS.
    """
    exits: dict[str, list[float]] = defaultdict(list)
    while not is_stopping():
        name = processes.find_exited()
        if name is None:
            signal.sigtimedwait([], _POLL_SECONDS)
            continue
        now = time.monotonic()
        exits[name] = [*(at for at in exits[name] if at > now - WINDOW_SECONDS), now]
        description = f"{name} exited unexpectedly with {describe_exit(processes.exit_code(name) or 0)}"
        if len(exits[name]) > MAX_RESTARTS:
            raise LaunchError(
                f"{description}, for the {len(exits[name])}th time within {WINDOW_SECONDS:.0f} s; "
                f"stopping all processes\n{processes.log_tail(name)}"
            )
        log(f"{description}; restarting it\n{processes.log_tail(name)}")
        try:
            processes.revive(name)
        except LaunchError as error:  # it exited again, which the next iteration counts, or it is slow
            log(str(error))
