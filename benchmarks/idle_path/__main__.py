"""Print where the time of one photo goes on an idle system: client, gateway, MinIO, broker, thumbnailer, tracker.

Photos are uploaded one at a time, each after the last is DONE. benchmarks/README.md explains each row.
"""

import argparse
import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import median

import aiohttp

from benchmarks import corpus
from benchmarks.idle_path import timed_service
from benchmarks.installation import gateway_url, log, running_system
from benchmarks.load import Client
from benchmarks.throughput import Benchmark, quantiles
from devstack.installation import CHECKOUT
from devstack.stack import Stack

PRESETS = Path(__file__).parents[1] / "thumbnail.yaml"

Times = dict[str, float]  # of one image: seconds since 1970, by the moment's name

HOPS = [  # (what happens, from, to)
    ("client and gateway: until the gateway sends the photo to MinIO", "started", "gateway put begin"),
    ("MinIO: until the object is stored", "gateway put begin", "stored"),
    ("MinIO and RabbitMQ: until a worker has the event", "stored", "thumbnailer process begin"),
    ("worker: fetch the original", "thumbnailer fetch begin", "thumbnailer fetch end"),
    ("worker: decode, in a process of its own", "thumbnailer decode begin", "thumbnailer decode end"),
    ("worker: store the variants", "thumbnailer store begin", "thumbnailer store end"),
    ("worker: check that the original is still there", "thumbnailer check begin", "thumbnailer check end"),
    (
        "worker: publish image.done, until the broker's confirm",
        "thumbnailer publish begin",
        "thumbnailer publish end",
    ),
    ("RabbitMQ: from image.done to the tracker", "thumbnailer publish begin", "status-tracker record begin"),
    ("tracker: from its call to the row", "status-tracker record begin", "row"),
    ("in all, upload to row", "started", "row"),
    ("apart from these: MinIO's response, event included", "stored", "gateway put end"),
    ("apart from these: upload to the client's response", "started", "answered"),
    ("apart from these: the tracker's transaction", "status-tracker record begin", "status-tracker record end"),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--corpus", type=Path, help="a folder of JPEGs (default: .local/corpus)")
    parser.add_argument(
        "--route", choices=("post", "presigned"), default="post", help="upload route (default: post)"
    )
    parser.add_argument("-n", type=int, default=40, help="photos (default: 40)")
    parser.add_argument("--presets", type=Path, default=PRESETS, help="presets file (default: only a thumbnail)")
    arguments = parser.parse_args()
    folder = arguments.corpus or CHECKOUT / ".local" / "corpus"
    if not arguments.corpus:
        corpus.make(folder)
    settings = {"PRESETS_FILE": str(arguments.presets.resolve())}
    with running_system(settings, prepare=time_services) as stack:
        images = asyncio.run(measure(stack, corpus.read(folder), arguments.route, arguments.n))
    print(render(images))


def time_services(stack: Stack) -> None:
    """Have the services write when their functions ran."""
    for name in timed_service.SPANS:
        process = stack.table[name]
        command = timed_service.command(list(process.command), _file(stack, name), CHECKOUT)
        stack.table[name] = replace(process, command=command)


def _file(stack: Stack, name: str) -> Path:
    return stack.installation.logs / f"{name}.spans"


async def measure(stack: Stack, photos: list[corpus.Photo], route: str, count: int) -> list[Times]:
    """Upload the corpus once, then ``count`` single photos; return the times of each of these."""
    timeout = aiohttp.ClientTimeout(total=120)
    with closing(Benchmark(stack, photos)) as benchmark:
        async with aiohttp.ClientSession(timeout=timeout) as session:
            client = Client(session, gateway_url(stack), photos, route)
            log(f"warming up with {len(photos)} photos")
            await asyncio.to_thread(benchmark.wait_done, await client.upload_all(len(photos), 8))
            await asyncio.sleep(2)
            log(f"{count} single photos")
            images: dict[str, Times] = {}
            for number in range(count):
                upload = await client.upload(number)
                if upload.error:
                    raise SystemExit(f"an upload failed: {upload.error}")
                _, row = (await asyncio.to_thread(benchmark.wait_done, [upload]))[upload.image_id]
                images[upload.image_id] = {"started": upload.started, "answered": upload.answered, "row": row}
                await asyncio.sleep(0.1)
        await asyncio.sleep(1)  # the last lines of the files
        for image_id, stored in benchmark.database.execute(
            "SELECT image_id::text, extract(epoch FROM min(occurred))::float8 FROM events"
            " WHERE type LIKE 'storage.ObjectCreated:%' GROUP BY 1"
        ):
            if image_id in images:
                images[image_id]["stored"] = stored
    for name in timed_service.SPANS:
        add_spans(images, _file(stack, name))
    return list(images.values())


def add_spans(images: Mapping[str, Times], file: Path) -> None:
    """Add the times in a service's file: of several calls of a function, such as for both events, the first's.

    ``publish`` is called for image.processing and for image.done: the last call is the one that matters.
    """
    for line in file.read_text(encoding="utf-8").splitlines():
        span = json.loads(line)
        name = f"{span['service']} {span['span']}"
        for image_id in span["images"]:
            if image_id not in images or ("row" in images[image_id] and span["begin"] > images[image_id]["row"]):
                continue
            for moment in ("begin", "end"):
                if span["span"] == "publish":
                    images[image_id][f"{name} {moment}"] = span[moment]
                else:
                    images[image_id].setdefault(f"{name} {moment}", span[moment])


def render(images: list[Times]) -> str:
    """Return the hops as a Markdown table: p50 and p95 in milliseconds."""
    values: dict[str, list[float]] = defaultdict(list)
    for times in images:
        for hop, begin, end in HOPS:
            if begin in times and end in times:
                values[hop].append((times[end] - times[begin]) * 1000)
    lines = ["| hop | p50, ms | p95, ms | photos |", "|---|---|---|---|"]
    for hop, measured in values.items():
        p95 = quantiles(measured)["p95"]
        lines.append(f"| {hop} | {median(measured):.1f} | {p95:.1f} | {len(measured)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
