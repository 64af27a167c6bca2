"""The loss drill: upload by every route while faults are injected, let the system settle, and check every upload.

Exit codes: 0 nothing was lost, wrong, stuck, regressed, unannounced, orphaned, unexpected or doubled, and no
process exited unexpectedly; 1 otherwise; 2 the drill could not run. docs/loss-drill.md explains each count.
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
from chaos.environment import Environment
from chaos.faults import FAULTS, draw_faults
from chaos.scenario_runner import ScenarioRunner, ablate_services, remove_notification_rules
from chaos.scenarios import SCENARIOS, run_scenario
from chaos.tmpfs import Disk, enter_mount_namespace
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

# Short intervals, so that minutes show what takes hours in production.
SETTINGS = {
    "DECODE_TIMEOUT_SECONDS": "2",
    "MAX_TICKETS_PER_MINUTE": "0",
    "PRESETS_FILE": str(Path(__file__).with_name("presets.yaml")),
    "SWEEP_INTERVAL_SECONDS": "1",
    "SWEEP_AFTER_SECONDS": "5",
    "RECONCILE_INTERVAL_SECONDS": "2",
    "RECONCILE_AFTER_SECONDS": "15",
}
IMAGE_FAULTS = ("truncate", "crash", "memory", "spin")


def main() -> int:
    """Run a drill and return the exit code."""
    arguments = parse()
    forget_libpq_variables()
    seed = arguments.seed if arguments.seed is not None else random.randrange(10**6)
    log(f"seed {seed}; to inject the same faults in the same order, give --seed {seed}")
    for name in arguments.without:
        log(f"without {name}: {GUARDS[name].description}")
    if "disks" in arguments.faults:
        try:
            enter_mount_namespace()
        except OSError as error:
            log(f"skipping the fault `disks`: it needs root, or a kernel that allows user namespaces ({error})")
            arguments.faults = [name for name in arguments.faults if name != "disks"]
    folder = Path(tempfile.mkdtemp(prefix="thumbmill-drill-"))
    folder.chmod(0o755)  # the servers' account has to enter it
    temporary = folder / "temporary"
    temporary.mkdir()
    settings = SETTINGS | settings_without(arguments.without) | {"TMPDIR": str(temporary)}
    stack = Stack(folder, free_ports(), settings, log=lambda _: None)
    ablate_services(stack, arguments.without)
    environment = Environment(stack, random.Random(f"{seed}/faults"), log, threading.Event())
    try:
        if "disks" in arguments.faults:
            mount_disks(environment)
        log("starting a separate system on free ports")
        stack.up()
        result = run(environment, arguments, seed)
    except (LaunchError, SystemUnresponsiveError, DependencyUnavailable) as error:
        log(f"the drill failed to run: {error}")
        return 2
    finally:
        stack.close()
        for disk in environment.disks.values():
            disk.unmount()
        remove_data(folder)
    print(result.report())
    return 1 if result.failed_counts else 0


def mount_disks(environment: Environment) -> None:
    """Mount one disk for MinIO and one for the services' temporary files."""
    installation = environment.stack.installation
    environment.disks["MinIO's disk"] = Disk(installation.data / "minio")
    environment.disks["the disk for temporary files"] = Disk(installation.directory / "temporary")
    for disk in environment.disks.values():
        disk.mount(installation.account)


def run(environment: Environment, arguments: argparse.Namespace, seed: int) -> CheckResult:
    """Use the system while faults are injected, then let it settle and check it."""
    if "links" in arguments.faults:
        environment.route_through_proxies()
    remove_notification_rules(environment.stack, arguments.without)

    def disturb() -> None:
        if arguments.scenario:
            with closing(ScenarioRunner(environment, arguments.without)) as runner:
                for name in SCENARIOS if arguments.scenario == "all" else [arguments.scenario]:
                    run_scenario(name, runner)
        else:
            inject_faults(environment, arguments)
        log("no more faults")
        environment.restore()

    clients = 0 if arguments.scenario else arguments.clients
    plan = Plan(seed, clients, arguments.settle, IMAGE_FAULTS, exclusive=True)
    result = session.run(environment.access, plan, environment.history, disturb, log)
    environment.record_exits()
    for description in environment.unexpected_exits:
        result.add_error("exited", description)
    return result


def inject_faults(environment: Environment, arguments: argparse.Namespace) -> None:
    """Inject one fault after the other until the time is over or all rounds are done."""
    timer = threading.Timer(60 * arguments.minutes, environment.stop.set)
    timer.start()
    try:
        for name in draw_faults(arguments.faults, environment.rng, rounds=arguments.rounds):
            if environment.stop.wait(environment.rng.uniform(0.5, 2)):
                break
            FAULTS[name].inject(environment)
            environment.record_exits()
    except (SubprocessError, AMQPError, OSError) as error:
        raise LaunchError(f"the fault {name!r} could not be injected: {error!r}") from error
    finally:
        timer.cancel()


def parse() -> argparse.Namespace:
    """Parse the command line."""
    lists: dict[str, dict[str, str | None]] = {
        "faults": {name: fault.description for name, fault in FAULTS.items()},
        "guards": {name: guard.description for name, guard in GUARDS.items()},
        "scenarios": {name: scenario.__doc__ for name, scenario in SCENARIOS.items()},
    }
    parser = argparse.ArgumentParser(
        prog="python -m chaos",
        description=__doc__,
        epilog="\n\n".join(_list(title, rows) for title, rows in lists.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=2, help="how long to inject faults (default: 2)")
    parser.add_argument("--rounds", type=int, default=0, help="end when each fault was injected this many times")
    parser.add_argument("--clients", type=int, default=4, help="number of concurrent clients (default: 4)")
    parser.add_argument("--seed", type=int, help="repeat the faults of an earlier drill")
    parser.add_argument(
        "--settle",
        type=float,
        default=300,
        help="seconds without progress after which an image counts as stuck (default: 300)",
    )
    parser.add_argument(
        "--only",
        dest="faults",
        action="append",
        choices=list(FAULTS),
        help="inject only this fault; may be repeated",
    )
    parser.add_argument(
        "--scenario", choices=[*SCENARIOS, "all"], help="run this sequence of steps instead of random faults"
    )
    parser.add_argument(
        "--without", action="append", default=[], choices=list(GUARDS), help="remove this guard; may be repeated"
    )
    arguments = parser.parse_args()
    if arguments.minutes <= 0:
        parser.error("--minutes must be more than 0")
    arguments.faults = [] if arguments.scenario else arguments.faults or list(FAULTS)
    return arguments


def _list(title: str, rows: Mapping[str, str | None]) -> str:
    return "\n".join([f"{title}:", *(f"  {name:<13} {description}" for name, description in rows.items())])


def log(text: str) -> None:
    """Print a progress line with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
