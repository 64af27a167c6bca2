"""Whether a long queue is worse than a short one: memory, status reads and rate, with thousands of images waiting.

Small pictures, no two alike, are put into MinIO while no thumbnailer runs; when MinIO has told of all of them,
twice, it comes back and works the queue off. First a short queue, then a long one, in the same system: what the
length costs is the difference of the two. On two quiet cores 50,000 take eleven minutes, fewer in proportion. What
each figure means stands in benchmarks/README.md.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pika

from benchmarks import backlog_table
from benchmarks.accounting import Part, cpu_of, machine_seconds, parts_of, per_image
from benchmarks.backlog_clients import putting, reading
from benchmarks.installation import open_database, open_store, running, say
from devstack.polling import pause
from devstack.stack import Stack

PRESETS = Path(__file__).with_name("thumbnail.yaml")
LOOK_SECONDS = 1.0
TELL_SECONDS = 10.0
STILL_SECONDS = 120.0  # without an image done something is broken
QUIET_SECONDS = 10.0  # of reads on a system at rest
FEWEST = 100  # images in a queue
QUARTERS = (0.25, 0.5, 0.75)


@dataclass
class Drain:
    """A queue worked off; times in seconds, memory in bytes."""

    images: int
    fill_seconds: float
    ledger_seconds: float
    queued: int
    failed: int
    rates: list[float]  # images/s of all but the first and last tenth, of its first half, of its second
    cpu_ms: dict[str, float]  # of each part for each image
    others: float  # share of the machine's CPU that was neither the system's nor ours
    reads: list[float]  # ms
    reads_at_rest: list[float]  # ms, with all waiting and nobody at work
    memory: dict[str, dict[str, int]] = field(default_factory=dict)  # by moment and part


class Bench:
    """A running system, and what is asked of it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.database = open_database(stack)
        self.store = open_store(stack)

    def close(self) -> None:
        self.database.close()

    def count(self, name: str, condition: str = "true") -> int:
        """Count the images of a batch."""
        query = f"SELECT count(*) FROM images WHERE key LIKE %s AND {condition}"  # noqa: S608
        return self._ask_number(query, f"backlog/{name}/%")

    def memory(self) -> dict[str, int]:
        """Weigh every part, shared pages once."""
        return {name: part.memory_bytes(shared_once=True) for name, part in parts_of(self.stack).items()}

    def cpu(self) -> dict[str, float]:
        return cpu_of(parts_of(self.stack), without=self.database.info.backend_pid)

    def queued(self) -> int:
        login = pika.PlainCredentials("admin", self.stack.installation.secrets["RABBITMQ_ADMIN_PASSWORD"])
        port = self.stack.installation.ports["RABBITMQ_PORT"]
        with closing(
            pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, credentials=login))
        ) as link:
            return int(link.channel().queue_declare("image_queue", passive=True).method.message_count)

    def count_ledger(self) -> int:
        """Count what MinIO told a second time, from its files: it takes longer, and is no part of working off."""
        return self._ask_number("SELECT count(*) FROM events WHERE recorded_by = 'durable'")

    def _ask_number(self, query: str, *values: str) -> int:
        found = self.database.execute(query, values).fetchone()
        return int(found[0]) if found else 0

    def fill(self, name: str, images: int) -> tuple[float, float]:
        """Put so many pictures into the bucket; give the seconds until the tracker was told, and twice."""
        began, before = time.monotonic(), self.count_ledger()
        with putting(self.store, f"backlog/{name}", images):
            self.follow(f"{name} queue: told of", images, lambda: self.count(name))
        told = time.monotonic() - began
        self.follow(f"{name} queue: told twice of", images, lambda: self.count_ledger() - before)
        return told, time.monotonic() - began

    def follow(
        self, what: str, images: int, count: Callable[[], int], look: Callable[[int], None] = lambda _: None
    ) -> None:
        """Look until there are so many, and say now and then how far it is."""
        began = told = changed = time.monotonic()
        seen = 0
        while (now_seen := count()) < images:
            now = time.monotonic()
            if now_seen != seen:
                seen, changed = now_seen, now
            if now - changed > STILL_SECONDS:
                raise SystemExit(f"{what} {seen} of {images}, and no more for {STILL_SECONDS:.0f} s")
            look(seen)
            if now - told > TELL_SECONDS and seen:
                told = now
                left = (images - seen) * (now - began) / seen
                say(f"{what} {seen} of {images}, {seen / (now - began):.0f}/s, about {left:.0f} s left")
            pause(LOOK_SECONDS)
        look(images)

    def drain(self, name: str, images: int) -> Drain:
        """Fill the queue while no thumbnailer runs, and have it worked off."""
        memory = {"before": self.memory()}
        self.stack.stop("thumbnailer")
        seconds, ledger_seconds = self.fill(name, images)
        queued = self.queued()
        say(f"{name} queue: {queued} wait after {ledger_seconds:.0f} s; reading status for {QUIET_SECONDS:.0f} s")
        ids = self.sample(name)
        with reading(self.stack, ids) as at_rest:
            pause(QUIET_SECONDS)
        self.stack.start("thumbnailer")
        memory["all wait"] = self.memory()
        due = [(part, int(images * part)) for part in QUARTERS]

        def weigh(done: int) -> None:
            if due and done >= due[0][1]:
                part, _ = due.pop(0)
                memory[f"{part:.0%} done"] = self.memory()

        me = Part((os.getpid(),))
        before, own, machine = self.cpu(), me.own_cpu_seconds(), machine_seconds()
        with reading(self.stack, ids) as reads:
            self.follow(
                f"{name} queue: done", images, lambda: self.count(name, "status IN ('DONE', 'FAILED')"), weigh
            )
        after, own, machine = self.cpu(), me.own_cpu_seconds() - own, machine_seconds() - machine
        memory["all done"] = self.memory()
        failed = self.count(name, "status = 'FAILED'")
        spent = sum(after.values()) - sum(before.values())
        return Drain(
            images=images,
            fill_seconds=seconds,
            ledger_seconds=ledger_seconds,
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
        """Images a second by their rows; the first and the last tenth are left out."""
        [[first, middle, last], count] = self.database.execute(
            "SELECT percentile_disc(ARRAY[0.1, 0.5, 0.9]) WITHIN GROUP (ORDER BY extract(epoch FROM updated_at)),"
            " count(*) FROM images WHERE key LIKE %s AND status = 'DONE'",
            [f"backlog/{name}/%"],
        ).fetchone() or [[0, 0, 0], 0]
        spans = ((0.8, last - first), (0.4, middle - first), (0.4, last - middle))
        return [round(count * part / max(float(span), 1e-9), 1) for part, span in spans]


def main() -> None:
    description, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(description=description, epilog=rest)
    parser.add_argument("--events", type=int, default=50_000, help="images in the long queue (50000)")
    parser.add_argument("--short", type=int, default=2_000, help="images in the short queue (2000)")
    parser.add_argument("--json", action="store_true", help="print the figures as a line of JSON too")
    given = parser.parse_args()
    if min(given.events, given.short) < FEWEST:
        parser.error(f"--events and --short: fewer than {FEWEST} images give no rate")
    with running({"PRESETS_FILE": str(PRESETS)}) as stack, closing(Bench(stack)) as bench:
        bench.drain("warming", min(500, given.short))
        drains = {"short": bench.drain("short", given.short), "long": bench.drain("long", given.events)}
        pause(QUIET_SECONDS)
        drains["long"].memory["10 s later"] = bench.memory()
        print(backlog_table.render(drains), flush=True)
        if given.json:
            print(json.dumps({name: backlog_table.figures(drain) for name, drain in drains.items()}), flush=True)
        say("removing so many files takes a while")


if __name__ == "__main__":
    main()
