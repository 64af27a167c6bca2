"""Compare a long queue with a short one: rate, status reads and memory, with thousands of images waiting.

Small images, all different, are put into MinIO while no thumbnailer runs. When the tracker has received both events
of each image, the thumbnailer starts and works the queue off. The same system first gets a short queue, then a long
one; the difference is the cost of the length. On two idle cores 50,000 images take eleven minutes.
benchmarks/README.md explains each figure.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pika

from benchmarks import backlog_table
from benchmarks.accounting import Part, cpu_of, machine_seconds, parts_of, per_image
from benchmarks.backlog_clients import read_statuses, uploads
from benchmarks.backlog_result import BacklogResult
from benchmarks.installation import log, open_database, open_store, running_system
from devstack.polling import pause
from devstack.stack import Stack

PRESETS = Path(__file__).with_name("thumbnail.yaml")
POLL_SECONDS = 1.0
LOG_SECONDS = 10.0
STALLED_SECONDS = 120.0  # without progress something is broken
IDLE_SECONDS = 10.0  # of reads on an idle system
MIN_IMAGES = 100  # images in a queue
QUARTERS = (0.25, 0.5, 0.75)


class Benchmark:
    """The running system that is measured."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.database = open_database(stack)
        self.store = open_store(stack)

    def close(self) -> None:
        self.database.close()

    def count(self, name: str, condition: str = "true") -> int:
        """Count the images of a batch."""
        query = f"SELECT count(*) FROM images WHERE key LIKE %s AND {condition}"  # noqa: S608
        return self._query_number(query, f"backlog/{name}/%")

    def memory(self) -> dict[str, int]:
        """Return the memory of every part, with shared pages counted once."""
        return {name: part.memory_bytes(shared_once=True) for name, part in parts_of(self.stack).items()}

    def cpu(self) -> dict[str, float]:
        return cpu_of(parts_of(self.stack), excluding=self.database.info.backend_pid)

    def queued(self) -> int:
        credentials = pika.PlainCredentials("admin", self.stack.installation.secrets["RABBITMQ_ADMIN_PASSWORD"])
        port = self.stack.installation.ports["RABBITMQ_PORT"]
        with closing(
            pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, credentials=credentials))
        ) as connection:
            return int(connection.channel().queue_declare("image_queue", passive=True).method.message_count)

    def count_durable_events(self) -> int:
        """Count the durable events, which MinIO sends from its files: that takes longer than the upload."""
        return self._query_number("SELECT count(*) FROM events WHERE recorded_by = 'durable'")

    def _query_number(self, query: str, *values: str) -> int:
        found = self.database.execute(query, values).fetchone()
        return int(found[0]) if found else 0

    def fill(self, name: str, images: int) -> tuple[float, float]:
        """Put the images. Return the seconds until the tracker has a row for each, and both events of each."""
        started, before = time.monotonic(), self.count_durable_events()
        with uploads(self.store, f"backlog/{name}", images):
            self.follow(f"{name} queue: received events of", images, lambda: self.count(name))
        fill_seconds = time.monotonic() - started
        self.follow(
            f"{name} queue: received durable events of", images, lambda: self.count_durable_events() - before
        )
        return fill_seconds, time.monotonic() - started

    def follow(
        self, what: str, images: int, count: Callable[[], int], observe: Callable[[int], None] = lambda _: None
    ) -> None:
        """Poll the count until it has reached the number of images, and log the progress."""
        started = logged = changed = time.monotonic()
        seen = 0
        while (now_seen := count()) < images:
            now = time.monotonic()
            if now_seen != seen:
                seen, changed = now_seen, now
            if now - changed > STALLED_SECONDS:
                raise SystemExit(f"{what} {seen} of {images} images, but no more for {STALLED_SECONDS:.0f} s")
            observe(seen)
            if now - logged > LOG_SECONDS and seen:
                logged = now
                left = (images - seen) * (now - started) / seen
                log(f"{what} {seen} of {images} images, {seen / (now - started):.0f}/s, {left:.0f} s left")
            pause(POLL_SECONDS)
        observe(images)

    def work_off(self, name: str, images: int) -> BacklogResult:
        """Fill the queue while no thumbnailer runs, then measure how it is worked off."""
        memory = {"before": self.memory()}
        self.stack.stop("thumbnailer")
        seconds, durable_seconds = self.fill(name, images)
        queued = self.queued()
        log(f"{name} queue: {queued} waiting after {durable_seconds:.0f} s; reading for {IDLE_SECONDS:.0f} s")
        ids = self.sample(name)
        with read_statuses(self.stack, ids) as at_rest:
            pause(IDLE_SECONDS)
        self.stack.start("thumbnailer")
        memory["all waiting"] = self.memory()
        due = [(part, int(images * part)) for part in QUARTERS]

        def measure_memory(done: int) -> None:
            if due and done >= due[0][1]:
                part, _ = due.pop(0)
                memory[f"{part:.0%} done"] = self.memory()

        me = Part((os.getpid(),))
        before, own, machine = self.cpu(), me.own_cpu_seconds(), machine_seconds()
        with read_statuses(self.stack, ids) as reads:
            self.follow(
                f"{name} queue: done",
                images,
                lambda: self.count(name, "status IN ('DONE', 'FAILED')"),
                measure_memory,
            )
        after, own, machine = self.cpu(), me.own_cpu_seconds() - own, machine_seconds() - machine
        memory["all done"] = self.memory()
        failed = self.count(name, "status = 'FAILED'")
        spent = sum(after.values()) - sum(before.values())
        return BacklogResult(
            images=images,
            fill_seconds=seconds,
            durable_seconds=durable_seconds,
            queued=queued,
            failed=failed,
            rates=self.rates(name),
            cpu_ms=per_image(before, after, images),
            others=max(0.0, machine - spent - own) / machine,
            reads=reads,
            reads_at_rest=at_rest,
            memory=memory,
        )

    def sample(self, name: str) -> list[str]:
        rows = self.database.execute(
            "SELECT id::text FROM images WHERE key LIKE %s ORDER BY random() LIMIT 500", [f"backlog/{name}/%"]
        )
        return [row[0] for row in rows.fetchall()]

    def rates(self, name: str) -> list[float]:
        """Return images/s by their rows' timestamps, without the first and the last tenth."""
        found = self.database.execute(
            "SELECT percentile_disc(ARRAY[0.1, 0.5, 0.9]) WITHIN GROUP (ORDER BY extract(epoch FROM updated_at)),"
            " count(*) FROM images WHERE key LIKE %s AND status = 'DONE'",
            [f"backlog/{name}/%"],
        ).fetchone()
        times, count = found or (None, 0)
        first, middle, last = times or (0, 0, 0)
        spans = ((0.8, last - first), (0.4, middle - first), (0.4, last - middle))
        return [round(count * part / max(float(span), 1e-9), 1) for part, span in spans]


def main() -> None:
    description, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(description=description, epilog=rest)
    parser.add_argument("--events", type=int, default=50_000, help="images in the long queue (default: 50000)")
    parser.add_argument("--short", type=int, default=2_000, help="images in the short queue (default: 2000)")
    parser.add_argument("--json", action="store_true", help="also print the figures as a line of JSON")
    given = parser.parse_args()
    if min(given.events, given.short) < MIN_IMAGES:
        parser.error(f"--events and --short must be at least {MIN_IMAGES}")
    with running_system({"PRESETS_FILE": str(PRESETS)}) as stack, closing(Benchmark(stack)) as benchmark:
        benchmark.work_off("warming", min(500, given.short))
        results = {
            "short": benchmark.work_off("short", given.short),
            "long": benchmark.work_off("long", given.events),
        }
        pause(IDLE_SECONDS)
        results["long"].memory["10 s later"] = benchmark.memory()
        print(backlog_table.render(results), flush=True)
        if given.json:
            print(json.dumps({name: backlog_table.figures(result) for name, result in results.items()}), flush=True)
        log("deleting the files; this takes a while")


if __name__ == "__main__":
    main()
