"""Rounds in which the upload routes and other pipelines are measured in turn, and their comparison.

Another pipeline (a peer) is a command that measures it and ends with a line of JSON, of which ``images_per_s``,
``cpu_ms_total``, ``idle_ms.p50``, ``worker_pss_after_mb`` and ``failures`` are read.
"""

import json
import shlex
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Figures = dict[str, float]
Round = Mapping[str, Figures]

NAMES = {
    "images_per_s": "images/s",
    "cpu_ms_total": "CPU-ms per image",
    "idle_p50_ms": "idle p50, ms",
    "worker_pss_mb": "worker's PSS, MB",
    "failures": "failures",
    "others": "CPU share of others",
}


def run_peer(command: str) -> Figures:
    """Measure another pipeline. Raise CalledProcessError."""
    done = subprocess.run(shlex.split(command), check=True, stdout=subprocess.PIPE, text=True)
    figures: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return {
        "images_per_s": figures["images_per_s"],
        "cpu_ms_total": figures["cpu_ms_total"],
        "idle_p50_ms": figures["idle_ms"]["p50"],
        "worker_pss_mb": figures["worker_pss_after_mb"],
        "failures": figures["failures"],
        "others": figures.get("other_cpu_share", 0.0),
    }


def run_rounds(
    contestants: Mapping[str, Callable[[], Figures]], rounds: int, log: Callable[[str], None]
) -> list[Round]:
    """Run all contestants in each round; each round starts with another one."""
    results: list[Round] = []
    order = list(contestants)
    for number in range(rounds):
        found: dict[str, Figures] = {}
        for name in order[number % len(order) :] + order[: number % len(order)]:
            log(f"round {number + 1} of {rounds}: {name}")
            found[name] = contestants[name]()
            log(f"{time.strftime('%H:%M:%S')} {name}: {json.dumps(found[name])}")
        results.append(found)
    return results


def compare(rounds: Sequence[Round], routes: Sequence[str], peers: Sequence[str]) -> str:
    """Return Markdown: medians with minimum and maximum, then the ratios to each peer within the rounds."""
    lines = ["| | " + " | ".join(NAMES.values()) + " |", "|---|" + "---|" * len(NAMES)]
    for name in (*routes, *peers):
        cells = [_spread([found[name][figure] for found in rounds], 1) for figure in NAMES]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", "| images/s over the peer's | " + " | ".join(peers) + " |", "|---|" + "---|" * len(peers)]
    for name in routes:
        ratios = [
            _spread([found[name]["images_per_s"] / found[peer]["images_per_s"] for found in rounds], 2)
            for peer in peers
        ]
        lines.append(f"| {name} | " + " | ".join(ratios) + " |")
    return "\n".join(lines)


def _spread(values: Sequence[float], digits: int) -> str:
    median = f"{statistics.median(values):.{digits}f}"
    return median if len(values) == 1 else f"{median} [{min(values):.{digits}f}-{max(values):.{digits}f}]"
