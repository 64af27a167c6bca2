"""Detects a stalled child by its CPU time. A limit on elapsed time would mostly measure the load of the machine.

A child that computes uses CPU time, however slowly on a busy machine, and the kernel enforces its limit
(RLIMIT_CPU). A child that waits forever uses none. The kernel schedules every runnable process within fractions of
a second, so many seconds without CPU time are not a matter of load: something has stopped the child, or it hangs.
"""

import time
from dataclasses import dataclass, field

CHECK_SECONDS = 0.5  # between two checks of the child's CPU time
_PROGRESS_SECONDS = 0.001  # of CPU time between two checks; less counts as none


class StalledError(Exception):
    """A child neither answers nor computes, and its image need not be the cause."""


def read_cpu_seconds(pid: int) -> float:
    """Return the CPU time that all threads of a process have used. Raise OSError if the process has ended."""
    return time.clock_gettime(~pid << 3 | 2)  # as clock_getcpuclockid(3) numbers a process's clock


@dataclass
class StallDetector:
    """Watches a child during one wait for its response; the waiting code calls ``check`` repeatedly.

    It adds up checks, not elapsed time: if the machine or container is frozen for an hour, parent and child alike,
    only one check is lost.
    """

    pid: int
    stall_seconds: float  # without CPU time, in a row
    deadline_seconds: float  # in all, for a child that uses a little CPU time again and again
    _used: float = 0
    _idle_checks: int = 0
    _checks: int = 0
    _next: float = field(default_factory=lambda: time.monotonic() + CHECK_SECONDS)

    def check(self) -> None:
        """Check the child's progress, at most once in CHECK_SECONDS. Raise StalledError."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + CHECK_SECONDS
        try:
            used = read_cpu_seconds(self.pid)
        except OSError:
            return  # it has ended, and the socket reports that
        self._checks += 1
        self._idle_checks = self._idle_checks + 1 if used - self._used < _PROGRESS_SECONDS else 0
        self._used = used
        if self._idle_checks * CHECK_SECONDS >= self.stall_seconds:
            raise StalledError(f"it has used no CPU time for {self.stall_seconds:g} s")
        if self._checks * CHECK_SECONDS >= self.deadline_seconds:
            raise StalledError(f"it ran for {self.deadline_seconds:g} s, with {used:.1f} s of CPU time")
