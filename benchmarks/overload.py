"""Overload the gateway with many concurrent uploads, and measure them and the status polls of other clients.

First only the pollers run, then uploads too, each retried until it is accepted, then only the pollers again.
benchmarks/README.md explains each figure.
"""

import argparse
import asyncio
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import uvloop

from benchmarks.accounting import Part, machine_seconds, parts_of
from benchmarks.backlog_clients import add_comment, draw_image
from benchmarks.installation import log, running_system
from benchmarks.overload_clients import Client, Tally, get, post, upload
from benchmarks.overload_pollers import Pollers
from devstack.stack import Stack

API = "/api/v1/images"
IDLE_SECONDS = 5.0  # with pollers only, before and after
RECOVERED = 10  # consecutive fast responses
FAST_SECONDS = 0.05
RECOVERY_SECONDS = 60.0  # at most


@dataclass
class Overload:
    """The measurements of one run."""

    before: Tally = field(default_factory=Tally)
    during: Tally = field(default_factory=Tally)
    after: Tally = field(default_factory=Tally)
    accepted: Tally = field(default_factory=Tally)
    rejected: Tally = field(default_factory=Tally)
    seconds: float = 0.0  # until the last upload was accepted
    recovery_seconds: float = 0.0  # until responses were as fast as before
    cpu_seconds: dict[str, float] = field(default_factory=dict)  # of each part, during the uploads
    clients: float = 0.0  # CPU seconds of the benchmark's clients, during the uploads
    others: float = 0.0  # share of the machine's CPU time that neither the system nor the benchmark used


async def overload(stack: Stack, *, uploads: int, pollers: int, body_bytes: int) -> Overload:
    """Run the three phases and return the measurements."""
    port = stack.installation.ports["GATEWAY_PORT"]
    run, base = Overload(), draw_image()
    path = await upload_one(port, base)
    log(f"{pollers} pollers for {IDLE_SECONDS:g} s")
    run.before = await poll_alone(port, path, pollers)
    bodies = [add_comment(base, f"{number}").ljust(body_bytes, b"\0") for number in range(uploads)]
    log(f"{uploads} uploads of {body_bytes} bytes at the same time")
    polling = Pollers(port, path, pollers)
    parts, me = parts_of(stack), Part((os.getpid(), polling.pid))
    before = {name: part.cpu_seconds() for name, part in parts.items()}
    own, machine = me.own_cpu_seconds(), machine_seconds()
    started = time.perf_counter()
    await asyncio.gather(*[upload(port, body, run.accepted, run.rejected) for body in bodies])
    run.seconds = time.perf_counter() - started
    run.cpu_seconds = {name: part.cpu_seconds() - before[name] for name, part in parts.items()}
    own, machine = me.own_cpu_seconds() - own, machine_seconds() - machine
    run.clients = own
    run.others = max(0.0, machine - own - sum(run.cpu_seconds.values())) / machine
    run.during = polling.stop()
    run.recovery_seconds = await recover(port, path)
    run.after = await poll_alone(port, path, pollers)
    return run


async def poll_alone(port: int, path: str, pollers: int) -> Tally:
    """Poll without uploads for IDLE_SECONDS and return the measurements."""
    polling = Pollers(port, path, pollers)
    await asyncio.sleep(IDLE_SECONDS)
    return polling.stop()


async def recover(port: int, path: str) -> float:
    """Poll until several consecutive responses are fast. Return the seconds until the first of them."""
    client, started = Client(port), time.perf_counter()
    fast, recovered_at = 0, started
    while fast < RECOVERED and time.perf_counter() - started < RECOVERY_SECONDS:
        sent = time.perf_counter()
        status, _ = await client.send(get(path))
        is_fast = status == 200 and time.perf_counter() - sent < FAST_SECONDS
        fast = fast + 1 if is_fast else 0
        if fast == 1:
            recovered_at = sent
        await asyncio.sleep(0.02)
    client.close()
    return recovered_at - started if fast >= RECOVERED else RECOVERY_SECONDS


async def upload_one(port: int, body: bytes) -> str:
    """Upload the image whose status is polled, and return its path."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(post(API, body))
    head = await reader.readuntil(b"\r\n\r\n")
    location = head.lower().partition(b"\r\nlocation:")[2].partition(b"\r\n")[0].strip().decode()
    writer.close()
    return API + location.partition(API)[2]


def render(run: Overload) -> str:
    """Return the measurements as Markdown."""
    rows = {
        "polls before": run.before,
        "polls while uploads ran": run.during,
        "polls after": run.after,
        "uploads accepted": run.accepted,
        "uploads rejected, and retried": run.rejected,
    }
    lines = ["| | number | by status | p50, ms | p95, ms | p99, ms |", "|---|---|---|---|---|---|"]
    for name, tally in rows.items():
        statuses = ", ".join(f"{status}: {count}" for status, count in sorted(tally.statuses.items()))
        values = " | ".join(f"{milliseconds(tally, part):.0f}" for part in (0.5, 0.95, 0.99))
        lines.append(f"| {name} | {len(tally.seconds)} | {statuses} | {values} |")
    cpu = ", ".join(f"{name} {seconds:.1f}" for name, seconds in run.cpu_seconds.items())
    return "\n".join(
        [
            *lines,
            "",
            f"All uploads accepted after {run.seconds:.1f} s, normal speed {run.recovery_seconds:.2f} s later.",
            f"CPU-seconds: {cpu}, the clients {run.clients:.1f}; CPU share of others {run.others:.2f}.",
        ]
    )


def milliseconds(tally: Tally, part: float) -> float:
    """Return a quantile of the delays, or 0 if there are none."""
    ordered = sorted(tally.seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000 if ordered else 0.0


def figures(run: Overload) -> Mapping[str, float]:
    """Return the figures for a line of JSON."""
    return {
        "polls": len(run.during.seconds),
        "polls failed": len(run.during.seconds) - run.during.statuses["200"],
        "status p50 ms": milliseconds(run.during, 0.5),
        "status p95 ms": milliseconds(run.during, 0.95),
        "status p99 ms": milliseconds(run.during, 0.99),
        "rejected": len(run.rejected.seconds),
        "seconds": run.seconds,
        "recovery seconds": run.recovery_seconds,
        "others": run.others,
    }


def main() -> None:
    description, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(description=description, epilog=rest)
    parser.add_argument("--uploads", type=int, default=500, help="concurrent uploads (default: 500)")
    parser.add_argument("--pollers", type=int, default=200, help="clients that poll once a second (default: 200)")
    parser.add_argument("--bytes", type=int, default=1_000_000, help="size of each upload (default: 1000000)")
    parser.add_argument("--slots", type=int, default=32, help="MAX_CONCURRENT_UPLOADS (default: 32)")
    parser.add_argument("--json", action="store_true", help="also print the figures as a line of JSON")
    given = parser.parse_args()
    if min(given.uploads, given.pollers, given.slots) < 1 or given.bytes < 50_000:
        parser.error("--uploads, --pollers and --slots must be at least 1, --bytes at least 50000")
    with running_system({"MAX_CONCURRENT_UPLOADS": str(given.slots)}) as stack:
        scenario = overload(stack, uploads=given.uploads, pollers=given.pollers, body_bytes=given.bytes)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            run = runner.run(scenario)
    print(render(run), flush=True)
    if given.json:
        print(json.dumps(figures(run)), flush=True)


if __name__ == "__main__":
    main()
