"""Measure streams of changes: lag, memory a stream, and the CPU time of the gateway, and print a table.

Many clients follow one batch each, and a few follow everything. The changes are written to the feed in batches, as
the status tracker does: so their rate does not depend on how fast this machine makes thumbnails, and only the
gateway and Postgres are measured. benchmarks/README.md explains each figure.
"""

import argparse
import asyncio
import json
import resource
import time
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime

from benchmarks.accounting import parts_of
from benchmarks.installation import log, open_database, running_system
from benchmarks.throughput import quantiles
from devstack.polling import pause
from devstack.stack import Stack

BATCHES_PER_SECOND = 20  # transactions of the tracker
STATES = ("PENDING", "PROCESSING", "DONE")
SPARE_FILES = 200
DRAIN_SECONDS = 5.0  # for the last changes to arrive

# One transaction: these images in one state, each in the batch of one client.
_WRITE = """
    WITH head AS (UPDATE feed SET last = last + %(count)s RETURNING last),
    added AS (
        INSERT INTO changes (seq, image_id, version, generation, type, batch, at, data)
        SELECT last - %(count)s + number, md5('bench' || image)::uuid, %(version)s, 1, 'image.' || lower(%(state)s),
            'bench-' || image %% %(streams)s, clock_timestamp(), jsonb_build_object(
                'id', md5('bench' || image)::uuid, 'key', 'uploads/' || image || '/original', 'status', %(state)s,
                'file_name', 'photo.jpg', 'content_type', 'image/jpeg', 'size', 3000000, 'generation', 1,
                'format', 'JPEG', 'width', 4032, 'height', 3024, 'sha256', repeat('ab', 32), 'variants',
                '[]'::jsonb, 'details', NULL, 'damaged', false, 'attempts', 1, 'next_attempt_at', NULL,
                'error', NULL, 'created_at', now(), 'updated_at', now(), 'expires_at', NULL, 'version', %(version)s)
        FROM head, generate_series(1, %(count)s) AS number, LATERAL (SELECT %(first)s + number AS image) AS images
    )
    SELECT pg_notify('changes', last::text) FROM head
"""


@dataclass(frozen=True)
class Result:
    """The figures; memory in KiB, lag from a change's time to its arrival at a client."""

    streams: int
    images_per_s: float
    changes: int
    events: int  # received by all clients
    missing: int  # not received; must be 0
    lag_ms: dict[str, float]
    memory_kib_per_stream: float
    gateway_cpu_share: float  # of one core
    postgres_cpu_share: float


@dataclass
class Client:
    """A client of one stream."""

    path: str
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    lags: list[float] = field(default_factory=list)

    async def run(self, port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**22)
        writer.write(f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        try:
            async for line in reader:
                if line.startswith(b'data: {"id":'):
                    at = line.split(b'"timestamp":"', 1)[1].split(b'"', 1)[0].decode()
                    self.lags.append((time.time() - datetime.fromisoformat(at).timestamp()) * 1000)
                elif line == b"event: hello\n":
                    self.opened.set()
        finally:
            writer.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument(
        "--streams", type=int, default=1000, help="clients that follow one batch each (default: 1000)"
    )
    parser.add_argument("--everything", type=int, default=5, help="clients that follow everything (default: 5)")
    parser.add_argument("--rate", type=float, default=150, help="images a second, of three changes (default: 150)")
    parser.add_argument("--seconds", type=float, default=30, help="how long to write changes (default: 30)")
    parser.add_argument("--json", action="store_true", help="also print the figures as a line of JSON")
    arguments = parser.parse_args()
    total = arguments.streams + arguments.everything
    _raise_open_file_limit(total + SPARE_FILES)
    settings = {"MAX_LIVE_CONNECTIONS": str(total), "MAX_CONNECTIONS": str(2 * total + SPARE_FILES)}
    with running_system(settings) as stack:
        result = asyncio.run(_measure(stack, arguments))
    print(_render(result))
    if arguments.json:
        print(json.dumps(asdict(result)))


async def _measure(stack: Stack, arguments: argparse.Namespace) -> Result:
    gateway, postgres = (parts_of(stack)[name] for name in ("gateway", "postgres"))
    port = stack.installation.ports["GATEWAY_PORT"]
    before = gateway.memory_bytes()
    paths = [f"/api/v1/batches/bench-{number}/stream" for number in range(arguments.streams)]
    clients = [Client(path) for path in [*paths, *["/api/v1/stream"] * arguments.everything]]
    log(f"opening {len(clients)} streams")
    tasks = [asyncio.create_task(client.run(port)) for client in clients]
    for client in clients:
        await client.opened.wait()
    memory = gateway.memory_bytes() - before
    log(f"{arguments.rate:g} images/s for {arguments.seconds:g} s")
    cpu, stored, started = gateway.cpu_seconds(), postgres.cpu_seconds(), time.monotonic()
    images = await asyncio.to_thread(_write, stack, arguments)
    wall = time.monotonic() - started
    expected = len(STATES) * images * (1 + arguments.everything)
    deadline = time.monotonic() + DRAIN_SECONDS
    while sum(len(client.lags) for client in clients) < expected and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    cpu, stored = gateway.cpu_seconds() - cpu, postgres.cpu_seconds() - stored
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    lags = [lag for client in clients for lag in client.lags]
    return Result(
        streams=len(clients),
        images_per_s=round(images / wall, 1),
        changes=len(STATES) * images,
        events=len(lags),
        missing=expected - len(lags),
        lag_ms=quantiles(lags),
        memory_kib_per_stream=round(memory / 1024 / len(clients), 1),
        gateway_cpu_share=round(cpu / wall, 3),
        postgres_cpu_share=round(stored / wall, 3),
    )


def _write(stack: Stack, arguments: argparse.Namespace) -> int:
    """Write changes at the wanted rate; return the number of images."""
    count = max(1, round(arguments.rate / BATCHES_PER_SECOND * len(STATES)))
    interval = count / arguments.rate / len(STATES)
    images, number, started = 0, 0, time.monotonic()
    with closing(open_database(stack)) as database:
        while time.monotonic() - started < arguments.seconds:
            for version, state in enumerate(STATES, start=1):
                values = {"count": count, "first": images, "state": state, "version": version}
                database.execute(_WRITE, {**values, "streams": arguments.streams})
                number += 1
                with suppress(ValueError):
                    pause(started + number * interval - time.monotonic())
            images += count
    return images


def _raise_open_file_limit(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


def _render(result: Result) -> str:
    rows: list[tuple[str, object]] = [
        ("streams", result.streams),
        ("images/s", result.images_per_s),
        ("changes written / events received", f"{result.changes} / {result.events}"),
        ("events missing", result.missing),
        ("lag: p50 / p95 ms", " / ".join(str(value) for value in result.lag_ms.values())),
        ("gateway's memory for a stream, KiB", result.memory_kib_per_stream),
        ("gateway's CPU, share of a core", result.gateway_cpu_share),
        ("Postgres' CPU, share of a core", result.postgres_cpu_share),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


if __name__ == "__main__":
    main()
