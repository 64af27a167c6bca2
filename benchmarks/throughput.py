"""One measurement of an upload route, from upload to DONE: single photos first, then many at a time."""

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
from benchmarks.installation import gateway_url, log, open_database, open_store, running_system
from benchmarks.load import Client, Upload
from devstack.polling import pause
from devstack.stack import Stack

UNFINISHED = "status NOT IN ('DONE', 'FAILED', 'DELETED')"


@dataclass
class Result:
    """The figures of one run; times in milliseconds, memory in megabytes (10^6 bytes)."""

    route: str
    images: int
    at_once: int
    images_per_s: float
    megapixels_per_s: float
    cpu_ms_per_image: dict[str, float]
    cpu_ms_total: float
    cpu_ms_besides_imaging: float  # of the thumbnailer without its decoder processes
    client_cpu_ms_per_image: float
    idle_ms: dict[str, float]
    idle_answer_ms: dict[str, float]
    idle_wait_ms: dict[str, float]  # to the response of a POST with `Prefer: wait`
    peak_rss_mb: dict[str, float]
    thumbnailer_pss_mb: float  # when the last image is DONE
    thumbnailer_pss_idle_mb: float  # after two seconds without work
    failures: int
    errors: list[str]
    other_cpu_share: float


class Benchmark:
    """The running system that is measured."""

    def __init__(self, stack: Stack, photos: list[corpus.Photo]) -> None:
        self.stack = stack
        self.photos = photos
        self.parts = parts_of(stack)
        self.database = open_database(stack)

    def close(self) -> None:
        self.database.close()

    def cpu(self) -> dict[str, float]:
        return cpu_of(self.parts, excluding=self.database.info.backend_pid)

    def wait_done(self, uploads: list[Upload], seconds: float = 120) -> dict[str, tuple[str, float]]:
        """Wait until all are DONE or FAILED. Return each image's status and the time of its last change."""
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
        """Decode every thumbnail and return the errors."""
        store = open_store(self.stack)
        keys: dict[str, str] = dict(
            self.database.execute(
                "SELECT id::text, jsonb_path_query_first(variants, '$[*] ? (@.type == \"thumbnail\").key') #>> '{}'"
                " FROM image_status WHERE status = 'DONE'"
            ).fetchall()
        )
        errors = []
        for upload in uploads:
            key = keys.get(upload.image_id)
            if key is None:
                errors.append(f"{upload.image_id or 'rejected'}: not DONE {upload.error}")
                continue
            response = store.get_object("images-processed", key)
            try:
                with Image.open(io.BytesIO(response.read())) as image:
                    image.load()
                    if image.format != "JPEG" or max(image.size) != 256:
                        errors.append(f"{upload.image_id}: {image.format} {image.size}")
            finally:
                response.close()
                response.release_conn()
        return errors


class MemorySampler(threading.Thread):
    """Records the peak memory of every part, twice a second: ten times cost a tenth of a photo's CPU time."""

    def __init__(self, parts: dict[str, Part]) -> None:
        super().__init__(daemon=True)
        self._parts = parts
        self._stop_sampling = threading.Event()
        self.peaks = dict.fromkeys(parts, 0)

    def run(self) -> None:
        while not self._stop_sampling.wait(0.5):
            for name, part in self._parts.items():
                self.peaks[name] = max(self.peaks[name], part.memory_bytes())

    def stop(self) -> dict[str, float]:
        self._stop_sampling.set()
        self.join()
        return {name: round(peak / 1e6, 1) for name, peak in self.peaks.items()}


def run(photos: list[corpus.Photo], arguments: Namespace, route: str) -> Result:
    """Measure one route on a separate system."""
    with (
        running_system({"PRESETS_FILE": str(arguments.presets.resolve())}) as stack,
        closing(Benchmark(stack, photos)) as benchmark,
    ):
        return asyncio.run(measure(benchmark, arguments, route))


async def measure(benchmark: Benchmark, arguments: Namespace, route: str) -> Result:
    """Warm up, then measure idle latency and throughput."""
    gateway = gateway_url(benchmark.stack)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session:
        client = Client(session, gateway, benchmark.photos, route)
        log(f"{route}: warming up with {len(benchmark.photos)} photos")
        warm = await client.upload_all(len(benchmark.photos), arguments.at_once)
        await asyncio.to_thread(benchmark.wait_done, warm)
        if errors := [upload.error for upload in warm if upload.error]:
            raise SystemExit(f"warm-up failed: {errors[:3]}")
        await asyncio.sleep(2)

        log(f"{route}: {arguments.idle} single photos on an idle system")
        idle, answered = [], []
        for number in range(arguments.idle):
            upload = await client.upload(number)
            status, at = (await asyncio.to_thread(benchmark.wait_done, [upload]))[upload.image_id]
            if status == "DONE":
                idle.append((at - upload.started) * 1000)
                answered.append((upload.answered - upload.started) * 1000)
            await asyncio.sleep(0.1)
        waited = []
        for number in range(arguments.idle if route == "post" else 0):
            if (seconds := await client.upload_and_wait(number)) is not None:
                waited.append(seconds * 1000)
            await asyncio.sleep(0.1)
        await asyncio.sleep(1)

        log(f"{route}: {arguments.n} photos, {arguments.at_once} at a time")
        sampler, me = MemorySampler(benchmark.parts), Part((os.getpid(),))
        sampler.start()
        cpu, own, machine, clock = benchmark.cpu(), me.own_cpu_seconds(), machine_seconds(), time.monotonic()
        besides = benchmark.parts["thumbnailer"].own_cpu_seconds()
        uploads = await client.upload_all(arguments.n, arguments.at_once)
        rows = await asyncio.to_thread(benchmark.wait_done, uploads)
        spent, own_spent = benchmark.cpu(), me.own_cpu_seconds() - own
        besides = benchmark.parts["thumbnailer"].own_cpu_seconds() - besides
        busy, wall = machine_seconds() - machine, time.monotonic() - clock
        pss = benchmark.parts["thumbnailer"].memory_bytes(shared_once=True)
        peaks = sampler.stop()
        await asyncio.sleep(2)

    done = {image_id: at for image_id, (status, at) in rows.items() if status == "DONE"}
    seconds = max(done.values()) - min(upload.started for upload in uploads)
    each = per_image(cpu, spent, arguments.n)
    others = busy - sum(spent.values()) + sum(cpu.values()) - own_spent
    errors = await asyncio.to_thread(benchmark.check_thumbnails, uploads)
    return Result(
        route=route,
        images=arguments.n,
        at_once=arguments.at_once,
        images_per_s=round(len(done) / seconds, 2),
        megapixels_per_s=round(sum(benchmark.photos[upload.photo].pixels for upload in uploads) / 1e6 / seconds, 1),
        cpu_ms_per_image=each,
        cpu_ms_total=round(sum(each.values()), 2),
        cpu_ms_besides_imaging=round(besides * 1000 / arguments.n, 2),
        client_cpu_ms_per_image=round(own_spent * 1000 / arguments.n, 2),
        idle_ms=quantiles(idle),
        idle_answer_ms=quantiles(answered),
        idle_wait_ms=quantiles(waited),
        peak_rss_mb=peaks,
        thumbnailer_pss_mb=round(pss / 1e6, 1),
        thumbnailer_pss_idle_mb=round(benchmark.parts["thumbnailer"].memory_bytes(shared_once=True) / 1e6, 1),
        failures=len(errors),
        errors=errors[:5],
        other_cpu_share=round(max(0.0, others) / (wall * (psutil.cpu_count() or 1)), 3),
    )


def quantiles(values: list[float]) -> dict[str, float]:
    """Return the median and the 95th percentile, interpolated linearly."""
    ordered = sorted(values)

    def at(part: float) -> float:
        position = (len(ordered) - 1) * part
        low = int(position)
        high = min(low + 1, len(ordered) - 1)
        return round(ordered[low] + (ordered[high] - ordered[low]) * (position - low), 1)

    return {"p50": at(0.5), "p95": at(0.95)} if ordered else {}
