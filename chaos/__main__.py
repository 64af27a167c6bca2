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
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from subprocess import SubprocessError

from pika.exceptions import AMQPError

from chaos.ablations import GUARDS, settings_without
from chaos.environment import Scene
from chaos.nemesis import MENU, draw
from chaos.scenario_runner import Stage, restore_guards, take_out
from chaos.scenarios import SCRIPTS, play
from chaos.tmpfs import Disk, open_namespace
from devstack.account import remove_data
from devstack.errors import LaunchError
from devstack.ports import free_ports
from devstack.postgres import forget_libpq_variables
from devstack.stack import Stack
from thumbmill.cli.drill import session
from thumbmill.cli.drill.checker import SystemUnresponsiveError
from thumbmill.cli.drill.report import CheckResult
from thumbmill.cli.drill.session import Plan
from thumbmill.core.errors import DependencyUnavailable

# Short waits, so that minutes show what hours would.
HURRY = {
    "DECODE_TIMEOUT_SECONDS": "2",
    "MAX_TICKETS_PER_MINUTE": "0",
    "PRESETS_FILE": str(Path(__file__).with_name("presets.yaml")),
    "SWEEP_INTERVAL_SECONDS": "1",
    "SWEEP_AFTER_SECONDS": "5",
    "RECONCILE_INTERVAL_SECONDS": "2",
    "RECONCILE_AFTER_SECONDS": "15",
}


def main() -> int:
    """Hold a drill and return the exit code."""
    arguments = parse()
    forget_libpq_variables()
    seed = arguments.seed if arguments.seed is not None else random.randrange(10**6)
    say(f"seed {seed}: the same seed draws the same faults in the same order (--seed {seed})")
    for name in arguments.without:
        say(f"without {name}: {GUARDS[name].about}")
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
    settings = HURRY | settings_without(arguments.without) | {"TMPDIR": str(temporary)}
    stack = Stack(folder, free_ports(), settings, log=lambda _: None)
    take_out(stack, arguments.without)
    scene = Scene(stack, random.Random(f"{seed}/faults"), say, threading.Event())
    try:
        if "disks" in arguments.menu:
            mount_disks(scene)
        say("starting a system of its own")
        stack.up()
        result = hold(scene, arguments, seed)
    except (LaunchError, SystemUnresponsiveError, DependencyUnavailable) as fault:
        say(f"the drill could not be held: {fault}")
        return 2
    finally:
        stack.close()
        for disk in scene.disks.values():
            disk.unmount()
        remove_data(folder)
    print(result.report())
    return 1 if result.failed_counts else 0


def mount_disks(scene: Scene) -> None:
    """Give MinIO, and the services for temporary files, a disk each."""
    installation = scene.stack.installation
    scene.disks["MinIO's disk"] = Disk(installation.data / "minio")
    scene.disks["the disk for temporary files"] = Disk(installation.directory / "temporary")
    for disk in scene.disks.values():
        disk.mount(installation.account)


def hold(scene: Scene, arguments: argparse.Namespace, seed: int) -> CheckResult:
    """Use the system and break it, then let it settle and judge it."""
    if "links" in arguments.menu:
        scene.lead_through_proxies()
    restore_guards(scene.stack, arguments.without)
    access, history, faults = scene.access, scene.history, ("truncate", "crash", "memory", "spin")

    def happen() -> None:
        if arguments.script:
            with closing(Stage(scene, access, history, arguments.without)) as stage:
                for name in SCRIPTS if arguments.script == "all" else [arguments.script]:
                    play(name, stage)
        else:
            strike(scene, arguments)
        say("no more faults")
        scene.mend()

    clients = 0 if arguments.script else arguments.clients
    plan = Plan(seed, clients, arguments.settle, faults, exclusive=True)
    result = session.run(access, plan, history, happen, say)
    scene.note_ended()
    for what in scene.ended:
        result.add_error("exited", what)
    return result


def strike(scene: Scene, arguments: argparse.Namespace) -> None:
    """Break the system, one fault after the other."""
    timer = threading.Timer(60 * arguments.minutes, scene.stop.set)
    timer.start()
    try:
        for name in draw(arguments.menu, scene.rng, rounds=arguments.rounds):
            if scene.stop.wait(scene.rng.uniform(0.5, 2)):
                break
            MENU[name].strike(scene)
            scene.note_ended()
    except (SubprocessError, AMQPError, OSError) as fault:
        raise LaunchError(f"the fault {name!r} could not be brought about: {fault!r}") from fault
    finally:
        timer.cancel()


def parse() -> argparse.Namespace:
    lists = {
        "faults": {name: fault.about for name, fault in MENU.items()},
        "guards": {name: guard.about for name, guard in GUARDS.items()},
        "scripts": {name: script.__doc__ for name, script in SCRIPTS.items()},
    }
    parser = argparse.ArgumentParser(
        prog="drill",
        description=__doc__,
        epilog="\n\n".join(_list(title, rows) for title, rows in lists.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=2, help="how long faults run (default: 2)")
    parser.add_argument("--rounds", type=int, default=0, help="end after each fault came so many times")
    parser.add_argument("--clients", type=int, default=4, help="clients at once (default: 4)")
    parser.add_argument("--seed", type=int, help="draw the faults of an earlier drill again")
    parser.add_argument(
        "--settle",
        type=float,
        default=300,
        help="seconds without progress after which what is left is stuck (default: 300)",
    )
    parser.add_argument(
        "--only", dest="menu", action="append", choices=list(MENU), help="only this fault; may be repeated"
    )
    parser.add_argument("--script", choices=[*SCRIPTS, "all"], help="these steps, and nothing by chance")
    parser.add_argument(
        "--without", action="append", default=[], choices=list(GUARDS), help="take this guard out; may be repeated"
    )
    arguments = parser.parse_args()
    if arguments.minutes <= 0:
        parser.error("--minutes: without any no fault would come")
    arguments.menu = [] if arguments.script else arguments.menu or list(MENU)
    return arguments


def _list(title: str, rows: Mapping[str, str | None]) -> str:
    return "\n".join([f"{title}:", *(f"  {name:<13} {about}" for name, about in rows.items())])


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
