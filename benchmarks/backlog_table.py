"""The figures of a backlog as Markdown."""

import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.backlog import Drain


def figures(drain: "Drain") -> dict[str, float]:
    """Name what was measured of one queue."""
    return {
        "images in the queue": drain.queued,
        "seconds to fill it": round(drain.fill_seconds, 1),
        "seconds until MinIO's ledger has told of all": round(drain.ledger_seconds, 1),
        "failed": drain.failed,
        "images/s, worked off": drain.rates[0],
        "images/s, first half": drain.rates[1],
        "images/s, second half": drain.rates[2],
        "CPU-ms per image": round(sum(drain.cpu_ms.values()), 1),
        **{f"CPU-ms per image, {part}": milliseconds for part, milliseconds in drain.cpu_ms.items()},
        "CPU share of others": round(drain.others, 2),
        "status read at rest, p50 ms": _percentile(drain.reads_at_rest, 50),
        "status read at rest, p99 ms": _percentile(drain.reads_at_rest, 99),
        "status read at work, p50 ms": _percentile(drain.reads, 50),
        "status read at work, p99 ms": _percentile(drain.reads, 99),
        "status reads at work": len(drain.reads),
    }


def render(drains: Mapping[str, "Drain"]) -> str:
    """Lay out what was measured, and the memory of every part at every moment of each."""
    columns = {name: figures(drain) for name, drain in drains.items()}
    lines = [
        "| figure | " + " | ".join(f"{name} queue" for name in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for figure in next(iter(columns.values())):
        values = " | ".join(f"{column[figure]:g}" for column in columns.values())
        lines += [f"| {figure} | {values} |"]
    for name, drain in drains.items():
        moments = list(drain.memory)
        lines += ["", f"| PSS, MB: {name} queue | " + " | ".join(moments) + " |", "|---|" + "---|" * len(moments)]
        for part in drain.memory[moments[0]]:
            held = " | ".join(f"{drain.memory[moment][part] / 1e6:.0f}" for moment in moments)
            lines.append(f"| {part} | {held} |")
    return "\n".join(lines)


def _percentile(values: list[float], percent: int) -> float:
    if len(values) < 2:
        return float("nan")
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], 1)
