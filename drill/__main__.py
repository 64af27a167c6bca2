"""The loss drill: uses the system through all its doors while faults run, lets it settle, and counts what was lost.

Exit code 0 when nothing was lost, wrong, stuck, regressed, orphaned or unexpected and no process ended by itself; 1
otherwise; 2 when the drill itself could not be held. What each count means stands in docs/loss-drill.md.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "infra"))

from drill.disks import Disk, open_namespace
from drill.doors import Access, Clients
from drill.faults import MENU, draw
from drill.ledger import Ledger
from drill.observer import Observer
from drill.scene import Scene
from drill.verdict import FATAL, Examiner, Verdict
from local.account import remove_data
from local.faults import LaunchError
from local.ports import free_ports
from local.stack import Stack

SETTLE_SECONDS = 300
# Short waits, so that minutes show what hours would.
HURRY = {
    "DECODER_FAULTS": "on",
    "DECODE_TIMEOUT_SECONDS": "2",
    "PRESETS_FILE": str(Path(__file__).with_name("presets.yaml")),
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
    if "disks" in arguments.menu:
        try:
            open_namespace()
        except OSError as fault:
            say(f"without full disks: this needs root, or namespaces of users ({fault})")
            arguments.menu = [name for name in arguments.menu if name != "disks"]
    folder = Path(tempfile.mkdtemp(prefix="thumbmill-drill-"))
    folder.chmod(0o755)  # the servers' account has to pass
    temporary = folder / "temporary"
    temporary.mkdir()
    stack = Stack(folder, free_ports(), {**HURRY, "TMPDIR": str(temporary)}, say=lambda _: None)
    scene = Scene(stack, random.Random(f"{seed}/faults"), say, threading.Event())
    try:
        if "disks" in arguments.menu:
            mount_disks(scene)
        say("starting a system of its own")
        stack.up()
        verdict = hold(scene, arguments, seed)
    except LaunchError as fault:
        say(f"the drill could not be held: {fault}")
        return 2
    finally:
        stack.close()
        for disk in scene.disks.values():
            disk.unmount()
        remove_data(folder)
    print(report(verdict))
    return 0 if verdict.passed else 1


def mount_disks(scene: Scene) -> None:
    """Give MinIO, and the services for temporary files, a disk each."""
    site = scene.stack.site
    scene.disks["MinIO's disk"] = Disk(site.data / "minio")
    scene.disks["the disk for temporary files"] = Disk(site.directory / "temporary")
    for disk in scene.disks.values():
        disk.mount(site.account)


def hold(scene: Scene, arguments: argparse.Namespace, seed: int) -> Verdict:
    """Use the system and break it, then let it settle and judge it."""
    stack, stop = scene.stack, scene.stop
    if "links" in arguments.menu:
        scene.lead_through_proxies()
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
        for name in draw(arguments.menu, scene.chance, rounds=arguments.rounds):
            if stop.wait(scene.chance.uniform(0.5, 2)):
                break
            MENU[name].strike(scene)
            scene.note_ended()
    finally:
        timer.cancel()
        clients.stop.set()
    say("no more faults, no more uploads")
    scene.mend()
    for thread in threads[:-1]:
        thread.join(60)
    examiner = Examiner(access, ledger)
    try:
        seconds = examiner.settle(arguments.settle, say)
        observer.stop.set()
        threads[-1].join(60)
        verdict = examiner.judge(observer)
        verdict.settle_seconds = seconds
        scene.note_ended()
        for what in scene.ended:
            verdict.blame("ended", what)
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
    parser.add_argument("--rounds", type=int, default=0, help="end after each fault came so many times")
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
