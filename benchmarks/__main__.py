"""How fast the system is, from upload to DONE: prints a table, and with ``--json`` the figures as a line of JSON.

Everything starts from empty stores on ports of its own. One pass over the corpus warms up; then single photos on
an idle system; then N photos, several at a time. What each figure means stands in benchmarks/README.md.
"""

import argparse
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path

from benchmarks import corpus, throughput_table, turns
from benchmarks.installation import say
from benchmarks.throughput import Result, run

PRESETS = Path(__file__).with_name("thumbnail.yaml")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--corpus", type=Path, help="a folder of JPEGs (default: made once under .local/corpus)")
    parser.add_argument("--door", choices=("post", "presigned", "both"), default="both", help="how photos are sent")
    parser.add_argument("-n", type=int, default=200, help="photos in the throughput run")
    parser.add_argument("-c", "--at-once", type=int, default=8, help="uploads at a time")
    parser.add_argument("--idle", type=int, default=20, help="single photos on an idle system")
    parser.add_argument(
        "--presets", type=Path, default=PRESETS, help="what is made of a photo (default: the thumbnail alone)"
    )
    parser.add_argument("--rounds", type=int, default=1, help="how often each door and peer is measured, in turn")
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="another pipeline to compare with: a command that ends with a line of JSON (see turns.py)",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON too, a line for each door")
    arguments = parser.parse_args()
    if wrong := [peer for peer in arguments.peer if "=" not in peer]:
        parser.error(f"--peer {wrong[0]}: NAME=COMMAND is wanted")
    if not arguments.presets.is_file():
        parser.error(f"--presets: there is no file {arguments.presets}")

    folder = arguments.corpus or Path(__file__).parents[1] / ".local" / "corpus"
    if not arguments.corpus:
        corpus.make(folder)
    photos = corpus.read(folder)
    doors = ("post", "presigned") if arguments.door == "both" else (arguments.door,)
    peers = dict(peer.split("=", 1) for peer in arguments.peer)
    results: list[Result] = []

    def measure_door(door: str) -> turns.Figures:
        results.append(run(photos, arguments, door))
        return figures(results[-1])

    contestants = {door: partial(measure_door, door) for door in doors}
    contestants |= {name: partial(turns.run_peer, command) for name, command in peers.items()}
    rounds = turns.take_turns(contestants, arguments.rounds, say)
    say("")
    print(throughput_table.render(sorted(results, key=lambda result: result.door)))
    if peers or arguments.rounds > 1:
        print("\n" + turns.compare(rounds, doors, list(peers)))
    if arguments.json:
        for result in results:
            print(json.dumps(asdict(result)))


def figures(result: Result) -> turns.Figures:
    """Pick what is compared with other pipelines."""
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
