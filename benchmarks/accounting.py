"""CPU time and memory of process trees."""

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

    def cpu_seconds(self, excluding: int | None = None) -> float:
        """Return user and system time so far, reaped children included, one process excluded."""
        total = 0.0
        for process in self.processes():
            if process.pid == excluding:
                continue
            try:
                total += sum(process.cpu_times()[:4])
            except psutil.NoSuchProcess:
                continue
        return total

    def own_cpu_seconds(self) -> float:
        """Return user and system time so far of the root processes, without their children."""
        return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in self.roots)

    def memory_bytes(self, *, shared_once: bool = False) -> int:
        """Return resident memory, or with ``shared_once`` the proportional set size: shared pages count once."""
        total = 0
        for process in self.processes():
            try:
                total += process.memory_full_info().pss if shared_once else process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total


def parts_of(stack: Stack) -> dict[str, Part]:
    """Return the parts of a running system. Call it again after a process was restarted."""
    return {name: Part(tuple(stack.pid(process) for process in processes)) for name, processes in PARTS.items()}


def cpu_of(parts: Mapping[str, Part], excluding: int) -> dict[str, float]:
    """Return the CPU-seconds of each part so far, without the Postgres process of our own queries."""
    return {name: part.cpu_seconds(excluding) for name, part in parts.items()}


def machine_seconds() -> float:
    """Return the busy CPU time of the whole machine."""
    times = psutil.cpu_times()
    return float(sum(getattr(times, name) for name in ("user", "system", "nice", "irq", "softirq")))


def per_image(before: Mapping[str, float], after: Mapping[str, float], images: int) -> dict[str, float]:
    """Return the CPU milliseconds of each part for each image."""
    return {name: round((after[name] - before[name]) * 1000 / images, 2) for name in before}
