"""What an overloaded gateway does for whom: many uploads at once beside many who ask for a status.

First the pollers alone, then the uploads beside them, each tried again until it is taken, then the pollers alone
again. What each figure means stands in benchmarks/README.md.
"""

import argparse
import asyncio
import json
import os
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import uvloop

from benchmarks.accounting import Part, machine_seconds, parts_of
from benchmarks.backlog_clients import draw, mark
from benchmarks.installation import running, say
from benchmarks.overload_clients import Client, Tally, get, poll, post, upload
from devstack.stack import Stack

API = "/api/v1/images"
REST_SECONDS = 5.0  # of pollers alone, before and after
NORMAL = 10  # quick answers in a row make a recovery
QUICK_SECONDS = 0.05
GIVE_UP_SECONDS = 60.0


@dataclass
class Overload:
    """One run."""

    before: Tally = field(default_factory=Tally)
    during: Tally = field(default_factory=Tally)
    after: Tally = field(default_factory=Tally)
    accepted: Tally = field(default_factory=Tally)
    refused: Tally = field(default_factory=Tally)
    seconds: float = 0.0  # until the last upload was taken
    recovery_seconds: float = 0.0  # until all was as quick as at rest
    cpu_seconds: dict[str, float] = field(default_factory=dict)  # of each part, while uploads ran
    others: float = 0.0  # share of the machine's CPU that was neither the system's nor ours


async def overload(stack: Stack, *, uploads: int, pollers: int, body_bytes: int) -> Overload:
    """Run the three phases."""
    port = stack.installation.ports["GATEWAY_PORT"]
    run, base = Overload(), draw()
    path = await store_one(port, base)
    say(f"{pollers} pollers for {REST_SECONDS:g} s")
    async with asyncio.TaskGroup() as tasks:
        over = begin_polling(tasks, port, path, pollers, run.before)
        await asyncio.sleep(REST_SECONDS)
        over.set()
    say(f"{uploads} uploads of {body_bytes} bytes beside them")
    parts, me = parts_of(stack), Part((os.getpid(),))
    spent = {name: part.cpu_seconds() for name, part in parts.items()}
    own, machine = me.own_cpu_seconds(), machine_seconds()
    async with asyncio.TaskGroup() as tasks:
        over = begin_polling(tasks, port, path, pollers, run.during)
        began = time.perf_counter()
        bodies = [mark(base, f"{number}").ljust(body_bytes, b"\0") for number in range(uploads)]
        await asyncio.gather(*[upload(port, body, run.accepted, run.refused) for body in bodies])
        run.seconds = time.perf_counter() - began
        over.set()
    run.recovery_seconds = await recover(port, path)
    run.cpu_seconds = {name: part.cpu_seconds() - spent[name] for name, part in parts.items()}
    own, machine = me.own_cpu_seconds() - own, machine_seconds() - machine
    run.others = max(0.0, machine - own - sum(run.cpu_seconds.values())) / machine
    async with asyncio.TaskGroup() as tasks:
        over = begin_polling(tasks, port, path, pollers, run.after)
        await asyncio.sleep(REST_SECONDS)
        over.set()
    return run


def begin_polling(tasks: asyncio.TaskGroup, port: int, path: str, pollers: int, tally: Tally) -> asyncio.Event:
    """Have so many ask once a second, as Retry-After tells them to."""
    over = asyncio.Event()
    for _ in range(pollers):
        tasks.create_task(poll(port, path, tally, over, every=1.0, after=random.random()))  # noqa: S311
    return over


async def recover(port: int, path: str) -> float:
    """Ask until a few answers in a row are as quick as at rest; give the seconds until the first of them."""
    client, began = Client(port), time.perf_counter()
    quick, normal_since = 0, began
    while quick < NORMAL and time.perf_counter() - began < GIVE_UP_SECONDS:
        asked = time.perf_counter()
        status, _ = await client.ask(get(path))
        is_quick = status == 200 and time.perf_counter() - asked < QUICK_SECONDS
        quick = quick + 1 if is_quick else 0
        if quick == 1:
            normal_since = asked
        await asyncio.sleep(0.02)
    client.close()
    return normal_since - began if quick >= NORMAL else GIVE_UP_SECONDS


async def store_one(port: int, body: bytes) -> str:
    """Upload the picture that is asked for, and wait until it is done; give its address."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(post(API, body))
    head = await reader.readuntil(b"\r\n\r\n")
    location = head.lower().partition(b"\r\nlocation:")[2].partition(b"\r\n")[0].strip().decode()
    writer.close()
    return API + location.partition(API)[2]


def render(run: Overload) -> str:
    """Lay out what was measured."""
    rows = {
        "polls before": run.before,
        "polls while uploads ran": run.during,
        "polls after": run.after,
        "uploads accepted": run.accepted,
        "uploads refused, and tried again": run.refused,
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
            f"All uploads taken after {run.seconds:.1f} s; as quick as at rest {run.recovery_seconds:.2f} s later.",
            f"CPU-seconds: {cpu}; share of others {run.others:.2f}.",
        ]
    )


def milliseconds(tally: Tally, part: float) -> float:
    """Give a quantile of the delays; 0 where there are none."""
    ordered = sorted(tally.seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] * 1000 if ordered else 0.0


def figures(run: Overload) -> Mapping[str, float]:
    """Name what was measured, for a line of JSON."""
    return {
        "polls": len(run.during.seconds),
        "polls failed": len(run.during.seconds) - run.during.statuses["200"],
        "status p50 ms": milliseconds(run.during, 0.5),
        "status p95 ms": milliseconds(run.during, 0.95),
        "status p99 ms": milliseconds(run.during, 0.99),
        "refused": len(run.refused.seconds),
        "seconds": run.seconds,
        "recovery seconds": run.recovery_seconds,
        "others": run.others,
    }


def main() -> None:
    description, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(description=description, epilog=rest)
    parser.add_argument("--uploads", type=int, default=500, help="pictures sent at once (500)")
    parser.add_argument("--pollers", type=int, default=200, help="clients that ask once a second (200)")
    parser.add_argument("--bytes", type=int, default=1_000_000, help="size of a picture (1000000)")
    parser.add_argument("--places", type=int, default=32, help="MAX_CONCURRENT_UPLOADS (32)")
    parser.add_argument("--json", action="store_true", help="print the figures as a line of JSON too")
    given = parser.parse_args()
    if min(given.uploads, given.pollers, given.places) < 1 or given.bytes < 50_000:
        parser.error("--uploads, --pollers and --places: at least 1; --bytes: at least 50000")
    with running({"MAX_CONCURRENT_UPLOADS": str(given.places)}) as stack:
        scenario = overload(stack, uploads=given.uploads, pollers=given.pollers, body_bytes=given.bytes)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            run = runner.run(scenario)
    print(render(run), flush=True)
    if given.json:
        print(json.dumps(figures(run)), flush=True)


if __name__ == "__main__":
    main()
