"""The decoder processes, as the kernel reports them."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.support.waiting import wait_until


def children():
    return {process.pid for process in psutil.Process().children() if not has_ended(process)}


def has_ended(process):
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def started_since(earlier, count=2):
    """Return the processes of a new decoder, the spare last."""
    pids = wait_until(lambda: len(new := children() - earlier) == count and new, 10, f"{count} children")
    return sorted(map(psutil.Process, pids), key=psutil.Process.create_time)


def read_status(process, field):
    """Return a field of /proc/PID/status that is in kilobytes, in bytes."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


def read_limit(process, name):
    """Return a soft limit of a process, which may be another user's."""
    lines = Path(f"/proc/{process.pid}/limits").read_text().splitlines()
    return next(int(line[len(name) :].split()[0]) for line in lines if line.startswith(name))


def total(counter):
    return sum(
        sample.value for metric in counter.collect() for sample in metric.samples if sample.name.endswith("_total")
    )


@contextmanager
def busy_neighbours(process, count):
    """Run busy processes on one core, to which the given process is bound too."""
    core = min(os.sched_getaffinity(0))
    process.cpu_affinity([core])
    program = "print(flush=True)\nwhile True: pass"
    neighbours = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) for _ in range(count)]
    try:
        for neighbour in neighbours:
            os.sched_setaffinity(neighbour.pid, [core])
            neighbour.stdout.readline()
        yield
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.communicate()
