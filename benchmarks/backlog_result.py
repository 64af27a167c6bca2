"""The result of working off one queue."""

from dataclasses import dataclass, field


@dataclass
class BacklogResult:
    """Times in seconds unless noted, memory in bytes."""

    images: int
    fill_seconds: float
    durable_seconds: float
    queued: int
    failed: int
    rates: list[float]  # images/s without the first and last tenth, of its first half, of its second half
    cpu_ms: dict[str, float]  # of each part for each image
    others: float  # share of the machine's CPU time that neither the system nor the benchmark used
    reads: list[float]  # ms
    reads_at_rest: list[float]  # ms, with all images waiting and no thumbnailer
    memory: dict[str, dict[str, int]] = field(default_factory=dict)  # by moment and part
