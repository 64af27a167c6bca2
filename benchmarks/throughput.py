"""One run of the system: from upload to DONE, first single photos, then many at a time."""

import asyncio
import io
import os
import threading
import time
from argparse import Namespace
from contextlib import closing
from dataclasses import dataclass

import aiohttp
import psutil
from PIL import Image

from benchmarks import corpus
from benchmarks.accounting import Part, cpu_of, machine_seconds, parts_of, per_image
from benchmarks.installation import gateway_url, open_database, open_store, running, say
from benchmarks.load import Client, Upload
from devstack.polling import pause
from devstack.stack import Stack

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
    cpu_ms_beside_imaging: float  # of the thumbnailer's: all but its decoding children's
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
        return cpu_of(self.parts, without=self.database.info.backend_pid)

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


def run(photos: list[corpus.Photo], arguments: Namespace, door: str) -> Result:
    """Measure one door on stores of its own."""
    with (
        running({"PRESETS_FILE": str(arguments.presets.resolve())}) as stack,
        closing(Bench(stack, photos)) as bench,
    ):
        return asyncio.run(measure(bench, arguments, door))


async def measure(bench: Bench, arguments: Namespace, door: str) -> Result:
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
        watch, me = MemoryWatch(bench.parts), Part((os.getpid(),))
        watch.start()
        cpu, own, machine, clock = bench.cpu(), me.own_cpu_seconds(), machine_seconds(), time.monotonic()
        beside = bench.parts["thumbnailer"].own_cpu_seconds()
        uploads = await client.upload_all(arguments.n, arguments.at_once)
        rows = await asyncio.to_thread(bench.wait_done, uploads)
        spent, own_spent = bench.cpu(), me.own_cpu_seconds() - own
        beside = bench.parts["thumbnailer"].own_cpu_seconds() - beside
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
        cpu_ms_beside_imaging=round(beside * 1000 / arguments.n, 2),
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
