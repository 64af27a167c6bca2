"""The loss drill: uses the system through all its doors while faults run, lets it settle, and counts what was lost.

Exit code 0 when nothing was lost, wrong, stuck, regressed, orphaned or unexpected; 1 when something was; 2 when the
drill itself could not be held. What each count means stands in docs/loss-drill.md.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "infra"))

from drill.doors import Access, Clients
from drill.faults import MENU, Scene, lead_through_proxies, mend
from drill.ledger import Ledger
from drill.observer import Observer
from drill.verdict import FATAL, Examiner, Verdict
from local.faults import LaunchError
from local.ports import free_ports
from local.stack import Stack

SETTLE_SECONDS = 300
# Short waits, so that minutes show what hours would.
HURRY = {
    "DECODER_FAULTS": "on",
    "DECODE_TIMEOUT_SECONDS": "2",
    "SWEEP_INTERVAL_SECONDS": "1",
    "SWEEP_AFTER_SECONDS": "5",
    "RECONCILE_INTERVAL_SECONDS": "2",
    "RECONCILE_AFTER_SECONDS": "15",
}


def main() -> int:
    """Hold a drill and return the exit code."""
    arguments = parse()
    seed = arguments.seed if arguments.seed is not None else random.randrange(10**6)
    say(f"seed {seed}: the same seed draws the same faults in the same order (--seed {seed})")
    with tempfile.TemporaryDirectory(prefix="thumbmill-drill-") as folder:
        stack = Stack(Path(folder), free_ports(), HURRY, say=lambda _: None)
        try:
            say("starting a system of its own")
            stack.up()
            verdict = hold(stack, arguments, seed)
        except LaunchError as fault:
            say(f"the drill could not be held: {fault}")
            return 2
        finally:
            stack.close()
    print(report(verdict))
    return 0 if verdict.passed else 1


def hold(stack: Stack, arguments: argparse.Namespace, seed: int) -> Verdict:
    """Use the system and break it, then let it settle and judge it."""
    stop = threading.Event()
    scene = Scene(stack, random.Random(f"{seed}/faults"), say, stop)
    if "links" in arguments.menu:
        lead_through_proxies(scene)
    secrets, ports = stack.site.secrets, stack.site.ports
    access = Access(
        f"http://127.0.0.1:{ports['GATEWAY_PORT']}",
        f"http://127.0.0.1:{ports['MINIO_PORT']}",
        secrets["MINIO_ROOT_USER"],
        secrets["MINIO_ROOT_PASSWORD"],
    )
    ledger = Ledger()
    clients = Clients(access, ledger, seed, faults=("cut", "crash", "memory", "hang"))
    observer = Observer(access, ledger, seed)
    threads = [*clients.run(arguments.clients), observer.run()]
    timer = threading.Timer(60 * arguments.minutes, stop.set)
    timer.start()
    try:
        while not stop.wait(scene.chance.uniform(0.5, 2)):
            MENU[scene.chance.choice(arguments.menu)].strike(scene)
    finally:
        timer.cancel()
        clients.stop.set()
    say("no more faults, no more uploads")
    mend(scene)
    for thread in threads[:-1]:
        thread.join(60)
    examiner = Examiner(access, ledger)
    try:
        seconds = examiner.settle(arguments.settle, say)
        observer.stop.set()
        threads[-1].join(60)
        verdict = examiner.judge(observer)
        verdict.settle_seconds = seconds
    finally:
        examiner.close()
    return verdict


def report(verdict: Verdict) -> str:
    """Write the counts as a table, and what is to be complained of under it."""
    lines = [f"  {name:<14}{count:>7}" for name, count in verdict.counts.items()]
    lines.append(f"  {'settled after':<14}{verdict.settle_seconds:>6.0f} s")
    lines += [f"  {fault}" for fault in verdict.faults[:50]]
    more = len(verdict.faults) - 50
    lines += [f"  and {more} more"] if more > 0 else []
    bad = [name for name in FATAL if verdict.counts[name]]
    lines.append(f"FAILED: {', '.join(bad)}" if bad else "passed: nothing was lost")
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    menu = "\n".join(f"  {name:<10} {fault.about}" for name, fault in MENU.items())
    parser = argparse.ArgumentParser(
        prog="drill",
        description=__doc__,
        epilog=f"faults:\n{menu}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=2, help="how long faults run (default: 2)")
    parser.add_argument("--clients", type=int, default=4, help="clients at once (default: 4)")
    parser.add_argument("--seed", type=int, help="draw the faults of an earlier drill again")
    parser.add_argument("--settle", type=float, default=SETTLE_SECONDS, help="seconds to settle (default: 300)")
    parser.add_argument("--only", dest="menu", action="append", choices=list(MENU), help="only these faults")
    arguments = parser.parse_args()
    arguments.menu = arguments.menu or list(MENU)
    return arguments


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
