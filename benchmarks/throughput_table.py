"""The figures as Markdown, one column for each route."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.accounting import PARTS

if TYPE_CHECKING:
    from benchmarks.throughput import Result


def render(results: Sequence["Result"]) -> str:
    """Return the table."""
    rows: list[tuple[str, Sequence[object]]] = [
        ("images/s, upload to DONE", [r.images_per_s for r in results]),
        ("megapixels/s", [r.megapixels_per_s for r in results]),
        *((f"CPU-ms per image: {name}", [r.cpu_ms_per_image[name] for r in results]) for name in PARTS),
        ("CPU-ms per image: thumbnailer besides imaging", [r.cpu_ms_besides_imaging for r in results]),
        ("CPU-ms per image: all", [r.cpu_ms_total for r in results]),
        ("idle, upload to DONE: p50 / p95 ms", [" / ".join(str(v) for v in r.idle_ms.values()) for r in results]),
        (
            "idle, upload to response: p50 / p95 ms",
            [" / ".join(str(v) for v in r.idle_answer_ms.values()) for r in results],
        ),
        (
            "idle, POST with Prefer: wait to response: p50 / p95 ms",
            [" / ".join(str(v) for v in r.idle_wait_ms.values()) or "-" for r in results],
        ),
        *((f"peak RSS, MB: {name}", [r.peak_rss_mb[name] for r in results]) for name in PARTS),
        ("thumbnailer's PSS at the end, MB", [r.thumbnailer_pss_mb for r in results]),
        ("thumbnailer's PSS when idle, MB", [r.thumbnailer_pss_idle_mb for r in results]),
        ("failures", [r.failures for r in results]),
        ("the load generator's CPU-ms per image", [r.client_cpu_ms_per_image for r in results]),
        ("CPU share of others", [r.other_cpu_share for r in results]),
    ]
    head = ["| | " + " | ".join(r.route for r in results) + " |", "|---|" + "---|" * len(results)]
    return "\n".join(head + [f"| {name} | " + " | ".join(str(v) for v in values) + " |" for name, values in rows])
