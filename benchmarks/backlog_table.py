"""The figures of the backlog benchmark as Markdown."""

import statistics
from collections.abc import Mapping

from benchmarks.backlog_result import BacklogResult


def figures(result: BacklogResult) -> dict[str, float]:
    """Return the figures of one queue by name."""
    return {
        "images in the queue": result.queued,
        "seconds to fill it": round(result.fill_seconds, 1),
        "seconds until all durable events have arrived": round(result.durable_seconds, 1),
        "failed": result.failed,
        "images/s, worked off": result.rates[0],
        "images/s, first half": result.rates[1],
        "images/s, second half": result.rates[2],
        "CPU-ms per image": round(sum(result.cpu_ms.values()), 1),
        **{f"CPU-ms per image, {part}": milliseconds for part, milliseconds in result.cpu_ms.items()},
        "CPU share of others": round(result.others, 2),
        "status read at rest, p50 ms": _percentile(result.reads_at_rest, 50),
        "status read at rest, p99 ms": _percentile(result.reads_at_rest, 99),
        "status read while working, p50 ms": _percentile(result.reads, 50),
        "status read while working, p99 ms": _percentile(result.reads, 99),
        "status reads while working": len(result.reads),
    }


def render(results: Mapping[str, BacklogResult]) -> str:
    """Return the table of figures, and a table of memory by part and moment for each queue."""
    columns = {name: figures(result) for name, result in results.items()}
    lines = [
        "| figure | " + " | ".join(f"{name} queue" for name in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for figure in next(iter(columns.values())):
        values = " | ".join(f"{column[figure]:g}" for column in columns.values())
        lines += [f"| {figure} | {values} |"]
    for name, result in results.items():
        moments = list(result.memory)
        lines += ["", f"| PSS, MB: {name} queue | " + " | ".join(moments) + " |", "|---|" + "---|" * len(moments)]
        for part in result.memory[moments[0]]:
            values = " | ".join(f"{result.memory[moment][part] / 1e6:.0f}" for moment in moments)
            lines.append(f"| {part} | {values} |")
    return "\n".join(lines)


def _percentile(values: list[float], percent: int) -> float:
    if len(values) < 2:
        return float("nan")
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1], 1)
