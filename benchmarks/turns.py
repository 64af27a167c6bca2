"""Rounds in which our doors and other pipelines take turns, and how they compare within each round.

Another pipeline is a command that measures it and ends with a line of JSON: ``images_per_s``, ``cpu_ms_total``,
``idle_ms.p50``, ``worker_pss_after_mb`` and ``failures`` of it are looked at.
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
    "others": "others' share",
}


def run_peer(command: str) -> Figures:
    """Measure another pipeline. Raises CalledProcessError."""
    done = subprocess.run(shlex.split(command), check=True, stdout=subprocess.PIPE, text=True)
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return {
        "images_per_s": told["images_per_s"],
        "cpu_ms_total": told["cpu_ms_total"],
        "idle_p50_ms": told["idle_ms"]["p50"],
        "worker_pss_mb": told["worker_pss_after_mb"],
        "failures": told["failures"],
        "others": told.get("other_cpu_share", 0.0),
    }


def take_turns(
    contestants: Mapping[str, Callable[[], Figures]], rounds: int, say: Callable[[str], None]
) -> list[Round]:
    """Run all of them in each round, beginning with another one each time."""
    results: list[Round] = []
    order = list(contestants)
    for number in range(rounds):
        found: dict[str, Figures] = {}
        for name in order[number % len(order) :] + order[: number % len(order)]:
            say(f"round {number + 1} of {rounds}: {name}")
            found[name] = contestants[name]()
            say(f"{time.strftime('%H:%M:%S')} {name}: {json.dumps(found[name])}")
        results.append(found)
    return results


def compare(rounds: Sequence[Round], ours: Sequence[str], peers: Sequence[str]) -> str:
    """Lay the rounds out as Markdown: medians with least and most, then ours over theirs, paired in each round."""
    lines = ["| | " + " | ".join(NAMES.values()) + " |", "|---|" + "---|" * len(NAMES)]
    for name in (*ours, *peers):
        cells = [_spread([found[name][figure] for found in rounds], 1) for figure in NAMES]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", "| images/s, ours over theirs | " + " | ".join(peers) + " |", "|---|" + "---|" * len(peers)]
    for name in ours:
        ratios = [
            _spread([found[name]["images_per_s"] / found[peer]["images_per_s"] for found in rounds], 2)
            for peer in peers
        ]
        lines.append(f"| {name} | " + " | ".join(ratios) + " |")
    return "\n".join(lines)


def _spread(values: Sequence[float], digits: int) -> str:
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} [{min(values):.{digits}f}-{max(values):.{digits}f}]"
