"""Who used how much: CPU time and memory of process trees."""

from collections.abc import Mapping
from dataclasses import dataclass

import psutil

from devstack.stack import Stack

PARTS = {
    "gateway": ("gateway",),
    "thumbnailer": ("thumbnailer",),
    "status-tracker": ("status-tracker",),
    "minio": ("minio",),
    "rabbitmq": ("rabbitmq", "epmd"),
    "postgres": ("postgres",),
}


@dataclass(frozen=True)
class Part:
    """A part of the system: one or more processes with all their children."""

    roots: tuple[int, ...]

    def processes(self) -> list[psutil.Process]:
        found: dict[int, psutil.Process] = {}
        for pid in self.roots:
            try:
                root = psutil.Process(pid)
                found |= {process.pid: process for process in (root, *root.children(recursive=True))}
            except psutil.NoSuchProcess:
                continue
        return list(found.values())

    def cpu_seconds(self, without: int | None = None) -> float:
        """User and system time so far, reaped children included, one process left out."""
        total = 0.0
        for process in self.processes():
            if process.pid == without:
                continue
            try:
                total += sum(process.cpu_times()[:4])
            except psutil.NoSuchProcess:
                continue
        return total

    def own_cpu_seconds(self) -> float:
        """User and system time so far of the first processes alone, without their children."""
        return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in self.roots)

    def memory_bytes(self, *, shared_once: bool = False) -> int:
        """Resident memory; with ``shared_once`` the proportional set size, which counts shared pages once."""
        total = 0
        for process in self.processes():
            try:
                total += process.memory_full_info().pss if shared_once else process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total


def parts_of(stack: Stack) -> dict[str, Part]:
    """Give the parts of a running system; a process that was started again needs another look."""
    return {name: Part(tuple(stack.pid(process) for process in processes)) for name, processes in PARTS.items()}


def cpu_of(parts: Mapping[str, Part], without: int) -> dict[str, float]:
    """CPU-seconds of each part so far; one process is nobody's: Postgres' for our own questions."""
    return {name: part.cpu_seconds(without) for name, part in parts.items()}


def machine_seconds() -> float:
    """CPU time that the whole machine has spent busy."""
    times = psutil.cpu_times()
    return float(sum(getattr(times, name) for name in ("user", "system", "nice", "irq", "softirq")))


def per_image(before: Mapping[str, float], after: Mapping[str, float], images: int) -> dict[str, float]:
    """CPU milliseconds of each part for each image."""
    return {name: round((after[name] - before[name]) * 1000 / images, 2) for name in before}
