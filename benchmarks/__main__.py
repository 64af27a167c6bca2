"""Measure the system from upload to DONE, and print a table, or the figures as JSON too.

A separate system starts from empty stores on free ports. One pass over the corpus warms it up; then come single
photos on an idle system, then N photos, several at a time. benchmarks/README.md explains each figure.
"""

import argparse
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path

from benchmarks import corpus, throughput_table
from benchmarks.installation import log
from benchmarks.rounds import Figures, compare, run_peer, run_rounds
from benchmarks.throughput import Result, run

PRESETS = Path(__file__).with_name("thumbnail.yaml")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument(
        "--corpus", type=Path, help="a folder of JPEGs (default: collected once into .local/corpus)"
    )
    parser.add_argument("--route", choices=("post", "presigned", "both"), default="both", help="upload route")
    parser.add_argument("-n", type=int, default=200, help="photos in the throughput run (default: 200)")
    parser.add_argument("-c", "--at-once", type=int, default=8, help="concurrent uploads (default: 8)")
    parser.add_argument("--idle", type=int, default=20, help="single photos on an idle system (default: 20)")
    parser.add_argument("--presets", type=Path, default=PRESETS, help="presets file (default: only a thumbnail)")
    parser.add_argument(
        "--rounds", type=int, default=1, help="how often each route and peer is measured, in turn (default: 1)"
    )
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="another pipeline to compare with: a command that ends with a line of JSON (see rounds.py)",
    )
    parser.add_argument(
        "--json", action="store_true", help="also print the figures as JSON, one line for each route"
    )
    arguments = parser.parse_args()
    if invalid := [peer for peer in arguments.peer if "=" not in peer]:
        parser.error(f"--peer {invalid[0]}: give it as NAME=COMMAND")
    if not arguments.presets.is_file():
        parser.error(f"--presets: the file {arguments.presets} does not exist")

    folder = arguments.corpus or Path(__file__).parents[1] / ".local" / "corpus"
    if not arguments.corpus:
        corpus.make(folder)
    photos = corpus.read(folder)
    routes = ("post", "presigned") if arguments.route == "both" else (arguments.route,)
    peers = dict(peer.split("=", 1) for peer in arguments.peer)
    results: list[Result] = []

    def measure_route(route: str) -> Figures:
        results.append(run(photos, arguments, route))
        return figures(results[-1])

    contestants = {route: partial(measure_route, route) for route in routes}
    contestants |= {name: partial(run_peer, command) for name, command in peers.items()}
    rounds = run_rounds(contestants, arguments.rounds, log)
    log("")
    print(throughput_table.render(sorted(results, key=lambda result: result.route)))
    if peers or arguments.rounds > 1:
        print("\n" + compare(rounds, routes, list(peers)))
    if arguments.json:
        for result in results:
            print(json.dumps(asdict(result)))


def figures(result: Result) -> Figures:
    """Return the figures that are compared with other pipelines."""
    return {
        "images_per_s": result.images_per_s,
        "cpu_ms_total": result.cpu_ms_total,
        "idle_p50_ms": result.idle_ms.get("p50", 0.0),
        "worker_pss_mb": result.thumbnailer_pss_mb,
        "failures": result.failures,
        "others": result.other_cpu_share,
    }


if __name__ == "__main__":
    main()
