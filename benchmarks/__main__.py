"""How fast the system is, from upload to DONE: prints a table, and with ``--json`` the figures as a line of JSON.

Everything starts from empty stores on ports of its own. One pass over the corpus warms up; then single photos on
an idle system; then N photos, several at a time. What each figure means stands in benchmarks/README.md.
"""

import argparse
import asyncio
import io
import json
import sys
import threading
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "infra"))

import aiohttp
import corpus
import psutil
import turns
from accounting import PARTS, Part, machine_seconds, parts_of, per_image
from installation import gateway_url, open_database, open_store, running, say
from load import Client, Upload
from PIL import Image

from local.stack import Stack

PRESETS = Path(__file__).with_name("thumbnail.yaml")
UNFINISHED = "status NOT IN ('DONE', 'FAILED', 'DELETED')"


@dataclass
class Result:
    """The figures of one run; times in milliseconds, memory in megabytes (10^6 bytes)."""

    door: str
    images: int
    at_once: int
    images_per_s: float
    megapixels_per_s: float
    cpu_ms_per_image: dict[str, float]
    cpu_ms_total: float
    client_cpu_ms_per_image: float
    idle_ms: dict[str, float]
    idle_answer_ms: dict[str, float]
    peak_rss_mb: dict[str, float]
    thumbnailer_pss_mb: float  # when the last image is DONE
    thumbnailer_pss_idle_mb: float  # after two seconds without work
    failures: int
    faults: list[str]
    other_cpu_share: float


class Bench:
    """A running stack, and what is asked of it."""

    def __init__(self, stack: Stack, photos: list[corpus.Photo]) -> None:
        self.stack = stack
        self.photos = photos
        self.parts = parts_of(stack)
        self.database = open_database(stack)

    def close(self) -> None:
        self.database.close()

    def cpu(self) -> dict[str, float]:
        """CPU seconds of each part; our own Postgres session is nobody's."""
        own = self.database.info.backend_pid
        return {name: part.cpu_seconds(without=own) for name, part in self.parts.items()}

    def wait_done(self, uploads: list[Upload], seconds: float = 120) -> dict[str, tuple[str, float]]:
        """Wait until all are DONE or FAILED; give each image's status and the time that its row changed."""
        ids = [upload.image_id for upload in uploads if upload.image_id]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            ended = self.database.execute(
                f"SELECT count(*) FROM image_status WHERE id = ANY(%s::uuid[]) AND NOT {UNFINISHED}",  # noqa: S608
                (ids,),
            ).fetchone()
            if ended and ended[0] == len(ids):
                break
            pause(0.02)
        rows = self.database.execute(
            "SELECT id::text, status, extract(epoch FROM updated_at)::float8"
            " FROM image_status WHERE id = ANY(%s::uuid[])",
            (ids,),
        )
        return {image_id: (status, at) for image_id, status, at in rows.fetchall()}

    def check_thumbnails(self, uploads: list[Upload]) -> list[str]:
        """Open every thumbnail; give the faults."""
        store = open_store(self.stack)
        keys = dict(
            self.database.execute(
                "SELECT id::text, jsonb_path_query_first(variants, '$[*] ? (@.type == \"thumbnail\").key') #>> '{}'"
                " FROM image_status WHERE status = 'DONE'"
            ).fetchall()
        )
        faults = []
        for upload in uploads:
            key = keys.get(upload.image_id)
            if key is None:
                faults.append(f"{upload.image_id or 'refused'}: not DONE {upload.fault}")
                continue
            answer = store.get_object("images-processed", key)
            try:
                with Image.open(io.BytesIO(answer.read())) as picture:
                    picture.load()
                    if picture.format != "JPEG" or max(picture.size) != 256:
                        faults.append(f"{upload.image_id}: {picture.format} {picture.size}")
            finally:
                answer.close()
                answer.release_conn()
        return faults


class MemoryWatch(threading.Thread):
    """Samples every part's memory now and then and keeps the peaks; ten times a second cost a tenth of a photo."""

    def __init__(self, parts: dict[str, Part]) -> None:
        super().__init__(daemon=True)
        self._parts = parts
        self._over = threading.Event()
        self.peaks = dict.fromkeys(parts, 0)

    def run(self) -> None:
        while not self._over.wait(0.5):
            for name, part in self._parts.items():
                self.peaks[name] = max(self.peaks[name], part.memory_bytes())

    def end(self) -> dict[str, float]:
        self._over.set()
        self.join()
        return {name: round(peak / 1e6, 1) for name, peak in self.peaks.items()}


async def measure(bench: Bench, arguments: argparse.Namespace, door: str) -> Result:
    """Warm up, measure idle latency, then throughput."""
    gateway = gateway_url(bench.stack)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session:
        client = Client(session, gateway, bench.photos, door)
        say(f"{door}: warming up with {len(bench.photos)} photos")
        warm = await client.upload_all(len(bench.photos), arguments.at_once)
        await asyncio.to_thread(bench.wait_done, warm)
        if faults := [upload.fault for upload in warm if upload.fault]:
            raise SystemExit(f"warm-up failed: {faults[:3]}")
        await asyncio.sleep(2)

        say(f"{door}: {arguments.idle} single photos on an idle system")
        idle, answered = [], []
        for number in range(arguments.idle):
            upload = await client.upload(number)
            status, at = (await asyncio.to_thread(bench.wait_done, [upload]))[upload.image_id]
            if status == "DONE":
                idle.append((at - upload.started) * 1000)
                answered.append((upload.answered - upload.started) * 1000)
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)

        say(f"{door}: {arguments.n} photos, {arguments.at_once} at a time")
        watch, me = MemoryWatch(bench.parts), psutil.Process()
        watch.start()
        cpu, own, machine, clock = bench.cpu(), sum(me.cpu_times()[:2]), machine_seconds(), time.monotonic()
        uploads = await client.upload_all(arguments.n, arguments.at_once)
        rows = await asyncio.to_thread(bench.wait_done, uploads)
        spent, own_spent = bench.cpu(), sum(me.cpu_times()[:2]) - own
        busy, wall = machine_seconds() - machine, time.monotonic() - clock
        held = bench.parts["thumbnailer"].memory_bytes(shared_once=True)
        peaks = watch.end()
        await asyncio.sleep(2)

    done = {image_id: at for image_id, (status, at) in rows.items() if status == "DONE"}
    seconds = max(done.values()) - min(upload.started for upload in uploads)
    each = per_image(cpu, spent, arguments.n)
    others = busy - sum(spent.values()) + sum(cpu.values()) - own_spent
    faults = await asyncio.to_thread(bench.check_thumbnails, uploads)
    return Result(
        door=door,
        images=arguments.n,
        at_once=arguments.at_once,
        images_per_s=round(len(done) / seconds, 2),
        megapixels_per_s=round(sum(bench.photos[upload.photo].pixels for upload in uploads) / 1e6 / seconds, 1),
        cpu_ms_per_image=each,
        cpu_ms_total=round(sum(each.values()), 2),
        client_cpu_ms_per_image=round(own_spent * 1000 / arguments.n, 2),
        idle_ms=quantiles(idle),
        idle_answer_ms=quantiles(answered),
        peak_rss_mb=peaks,
        thumbnailer_pss_mb=round(held / 1e6, 1),
        thumbnailer_pss_idle_mb=round(bench.parts["thumbnailer"].memory_bytes(shared_once=True) / 1e6, 1),
        failures=len(faults),
        faults=faults[:5],
        other_cpu_share=round(max(0.0, others) / (wall * (psutil.cpu_count() or 1)), 3),
    )


def quantiles(values: list[float]) -> dict[str, float]:
    """Give the median and the 95th percentile, between neighbours where they fall between."""
    ordered = sorted(values)

    def at(part: float) -> float:
        place = (len(ordered) - 1) * part
        low = int(place)
        high = min(low + 1, len(ordered) - 1)
        return round(ordered[low] + (ordered[high] - ordered[low]) * (place - low), 1)

    return {"p50": at(0.5), "p95": at(0.95)} if ordered else {}


def table(results: list[Result]) -> str:
    """Lay the results out as Markdown, a column for each door."""
    rows: list[tuple[str, list[object]]] = [
        ("images/s, upload to DONE", [r.images_per_s for r in results]),
        ("megapixels/s", [r.megapixels_per_s for r in results]),
        *((f"CPU-ms per image: {name}", [r.cpu_ms_per_image[name] for r in results]) for name in PARTS),
        ("CPU-ms per image: all", [r.cpu_ms_total for r in results]),
        ("idle, upload to DONE: p50 / p95 ms", [" / ".join(str(v) for v in r.idle_ms.values()) for r in results]),
        (
            "idle, upload answered: p50 / p95 ms",
            [" / ".join(str(v) for v in r.idle_answer_ms.values()) for r in results],
        ),
        *((f"peak RSS, MB: {name}", [r.peak_rss_mb[name] for r in results]) for name in PARTS),
        ("thumbnailer's PSS at the end, MB", [r.thumbnailer_pss_mb for r in results]),
        ("thumbnailer's PSS without work, MB", [r.thumbnailer_pss_idle_mb for r in results]),
        ("failures", [r.failures for r in results]),
        ("the load generator's CPU-ms per image", [r.client_cpu_ms_per_image for r in results]),
        ("share of the machine that others took", [r.other_cpu_share for r in results]),
    ]
    head = ["| | " + " | ".join(r.door for r in results) + " |", "|---|" + "---|" * len(results)]
    return "\n".join(head + [f"| {name} | " + " | ".join(str(v) for v in values) + " |" for name, values in rows])


def pause(seconds: float) -> None:
    threading.Event().wait(seconds)


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
    print(table(sorted(results, key=lambda result: result.door)))
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


def run(photos: list[corpus.Photo], arguments: argparse.Namespace, door: str) -> Result:
    """Measure one door on stores of its own."""
    with (
        running({"PRESETS_FILE": str(arguments.presets.resolve())}) as stack,
        closing(Bench(stack, photos)) as bench,
    ):
        return asyncio.run(measure(bench, arguments, door))


if __name__ == "__main__":
    main()
