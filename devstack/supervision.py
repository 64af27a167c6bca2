"""Starts a process again that ended by itself, and gives up on one that keeps ending."""

import signal
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Protocol

from devstack.errors import LaunchError

# A process that ended this often within so many seconds will not be cured by starting it once more.
MAX_RESTARTS = 3
WINDOW_SECONDS = 60.0
_POLL_SECONDS = 0.25


class Processes(Protocol):
    """What is supervised: `Stack`, or anything with these methods."""

    def find_exited(self) -> str | None:
        """Return the name of a process that ended by itself, if there is one."""

    def exit_code(self, name: str) -> int | None:
        """Return its exit code (negative: the number of the signal)."""

    def log_tail(self, name: str) -> str:
        """Return the last lines of its log."""

    def revive(self, name: str) -> None:
        """Start it again and wait until it answers. Raises LaunchError."""


def supervise(
    processes: Processes,
    log: Callable[[str], None],
    *,
    describe_exit: Callable[[int], str],
    is_stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Start again whatever ends, until `is_stopping`.

    Raises LaunchError for a process that ended more than MAX_RESTARTS times within WINDOW_SECONDS.
    """
    deaths: dict[str, list[float]] = defaultdict(list)
    while not is_stopping():
        name = processes.find_exited()
        if name is None:
            signal.sigtimedwait([], _POLL_SECONDS)
            continue
        now = time.monotonic()
        deaths[name] = [*(death for death in deaths[name] if death > now - WINDOW_SECONDS), now]
        ending = f"{name} ended by itself with {describe_exit(processes.exit_code(name) or 0)}"
        if len(deaths[name]) > MAX_RESTARTS:
            raise LaunchError(
                f"{ending}, for the {len(deaths[name])}th time within {WINDOW_SECONDS:.0f} s; stopping everything\n"
                f"{processes.log_tail(name)}"
            )
        log(f"{ending}; starting it again\n{processes.log_tail(name)}")
        try:
            processes.revive(name)
        except LaunchError as error:  # it ended again, which the next round counts, or is slow to answer
            log(str(error))
