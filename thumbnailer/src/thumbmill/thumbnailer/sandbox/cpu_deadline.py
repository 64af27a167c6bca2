"""Judging a wait for a child by the CPU time that it uses: the clock alone says more about the machine.

A child that computes uses CPU time, however slowly on a busy machine: its limit is the kernel's (RLIMIT_CPU). One
that waits for ever uses none. The kernel gives every runnable process its share within fractions of a second, so
a silence of many seconds is no matter of load either: something has stopped the child, or it has stopped itself.
"""

import time
from dataclasses import dataclass, field

LOOK_SECONDS = 0.5  # between two looks at the child's CPU time
_PROGRESS_SECONDS = 0.001  # of CPU time between two looks; less is silence


class StalledError(Exception):
    """A child neither answers nor computes; nobody can tell whether that is the picture's fault."""


def read_cpu_seconds(pid: int) -> float:
    """Read the CPU time that a process has used, of all its threads. Raises OSError for one that is gone."""
    return time.clock_gettime(~pid << 3 | 2)  # as clock_getcpuclockid(3) numbers a process's clock


@dataclass
class Watch:
    """One wait for one child: ``look`` is called all the while, and ends it.

    Silence is counted in looks and not by the clock: a machine or container that was frozen for an hour, parent
    and child alike, has lost one look.
    """

    pid: int
    stall_seconds: float  # without CPU time, in a row
    patience_seconds: float  # in all; a child that trickles CPU time must not be waited for for ever
    _used: float = 0
    _silent: int = 0
    _looks: int = 0
    _next: float = field(default_factory=lambda: time.monotonic() + LOOK_SECONDS)

    def look(self) -> None:
        """Look at the child, at most once in LOOK_SECONDS. Raises StalledError."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + LOOK_SECONDS
        try:
            used = read_cpu_seconds(self.pid)
        except OSError:
            return  # it has ended, which its socket tells
        self._looks += 1
        self._silent = self._silent + 1 if used - self._used < _PROGRESS_SECONDS else 0
        self._used = used
        if self._silent * LOOK_SECONDS >= self.stall_seconds:
            raise StalledError(f"it has used no CPU time for {self.stall_seconds:g} s")
        if self._looks * LOOK_SECONDS >= self.patience_seconds:
            raise StalledError(f"it was at work for {self.patience_seconds:g} s, with {used:.1f} s of CPU time")
