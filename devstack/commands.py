"""The commands of `python -m devstack`."""

import argparse
import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from devstack.account import remove_data
from devstack.console import follow_logs, log, printable
from devstack.errors import LaunchError
from devstack.install import install_browser, install_servers, make_environment
from devstack.installation import CHECKOUT
from devstack.polling import pause
from devstack.ports import DEFAULTS, OFFSET, ports_from, require_free
from devstack.postgres import forget_libpq_variables
from devstack.processes import read_pid_file, write_pid_file
from devstack.running import LAUNCHER, find_running, recorded, require_running
from devstack.smoke import run_smoke
from devstack.stack import Stack, describe_exit, stop_stale_processes
from devstack.supervision import supervise
from devstack.web_build import build_console, check_console, is_built, try_to_build_console

WATCHERS = ("minio-watch", "rabbitmq-watch")
DIRECTORY = CHECKOUT / ".local"
_DOWN_SECONDS = 120.0


class Interrupted(Exception):  # noqa: N818 (a request to stop, not an error)
    """SIGINT (Ctrl-C), SIGTERM or SIGHUP was received."""


def main() -> int:
    """Run the command given on the command line and return its exit code; 1 with a message that says what to do."""
    parser = argparse.ArgumentParser(
        prog="python -m devstack",
        description="Run Thumbmill on this machine without Docker. All its data and logs are in .local/.",
        epilog=f"Set {OFFSET}=100 to add 100 to every port. To move a single port, set "
        + ", ".join(f"{name}={port}" for name, port in DEFAULTS.items()),
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("venv", help="create the virtual environment .venv from requirements/dev.txt")
    commands.add_parser("setup", help="install servers and Chromium if missing; build MinIO and the web console")
    web = commands.add_parser("web", help="build the web console if its sources changed")
    web.add_argument("--check", action="store_true", help="check its types and run its unit tests instead")
    up = commands.add_parser("up", help="start everything in the foreground; Ctrl-C stops it")
    up.add_argument("--backing", action="store_true", help="start only MinIO, RabbitMQ and Postgres, provisioned")
    commands.add_parser("down", help="stop a running `up` from another terminal")
    commands.add_parser("status", help="show which processes are running and ready, and the logins of the consoles")
    commands.add_parser("smoke", help="upload a sample image to a running system and wait for its thumbnails")
    commands.add_parser("clean", help="remove .local and all its data")
    arguments = parser.parse_args()
    forget_libpq_variables()
    try:
        return _run(arguments)
    except LaunchError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 1
    except (Interrupted, KeyboardInterrupt):
        return 130


def _run(arguments: argparse.Namespace) -> int:
    match arguments.command:
        case "venv":
            make_environment(log)
        case "setup":
            install_servers(log)
            install_browser(log)
            build_console(log)
        case "web":
            (check_console if arguments.check else build_console)(log)
        case "up":
            return up(backing_only=arguments.backing)
        case "down":
            down()
        case "status":
            return status()
        case "smoke":
            run_smoke(require_running(DIRECTORY), log)
        case "clean":
            clean()
    return 0


def up(*, backing_only: bool) -> int:
    """Run the system until it is interrupted. Raise LaunchError for a process that keeps exiting."""
    _handle_signals()
    with _lock():
        ports = ports_from(os.environ)
        stop_stale_processes(DIRECTORY, log)
        require_free(ports)  # before anything is downloaded or built
        install_servers(log)
        try_to_build_console(log)
        stack = Stack(DIRECTORY, ports, log=log)
        started = time.monotonic()
        try:
            stack.up(backing_only=backing_only)
            for name in WATCHERS:
                stack.start(name)
            log(f"all processes are ready after {time.monotonic() - started:.1f} s")
            with recorded(DIRECTORY, ports, os.environ) as running:
                smoke_done = DIRECTORY / "smoke-done"
                if not backing_only and not smoke_done.exists():
                    run_smoke(running, log)
                    smoke_done.touch()
                _print_endpoints(stack, backing_only=backing_only)
                _watch(stack)
        except Interrupted:
            pass
        finally:
            stack.close()
            log("stopped")
    return 0


def down() -> None:
    """Stop the running `up` and wait for it to exit. Raise LaunchError if it does not."""
    pid = read_pid_file(DIRECTORY / LAUNCHER)
    if pid is None:
        stop_stale_processes(DIRECTORY, log)
        log("nothing is running")
        return
    log(f"stopping `up` (process {pid})")
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _DOWN_SECONDS
    while read_pid_file(DIRECTORY / LAUNCHER):
        if time.monotonic() > deadline:
            raise LaunchError(f"process {pid} is still running after {_DOWN_SECONDS:.0f} s: look at its output")
        pause(0.1)
    log("stopped")


def status() -> int:
    """Print each process, and the addresses and logins of what runs. Return 0 if all are ready, else 1."""
    if not DIRECTORY.exists():
        log(f"nothing is running: {DIRECTORY} does not exist. Start the system with `make up`")
        return 1
    running = find_running(DIRECTORY)
    stack = Stack(DIRECTORY, running.ports if running else DEFAULTS)
    all_ready = True
    for name, process in stack.table.items():
        pid = read_pid_file(stack.installation.pids / f"{name}.pid")
        ready = pid is not None and process.is_ready()
        all_ready = all_ready and ready
        state = "not running" if pid is None else f"process {pid}, {'ready' if ready else 'not ready'}"
        print(f"{name:<15} {state}   {stack.log_path(name)}")
    if running:
        backing_only = not (stack.installation.pids / "gateway.pid").exists()
        for line in describe_endpoints(stack, backing_only=backing_only):
            print(line)
    return 0 if all_ready else 1


def clean() -> None:
    """Remove .local and its data. Raise LaunchError while they are in use."""
    if not DIRECTORY.exists():
        return
    with _lock():
        if any(read_pid_file(pid_file) for pid_file in DIRECTORY.glob("tests/*/run/*.pid")):
            raise LaunchError("tests are running with data in .local/tests: wait for them to end, or stop them")
        stop_stale_processes(DIRECTORY, log)
        for pointer in DIRECTORY.glob("tests/*/data-directory"):
            remove_data(pointer.parent)
        remove_data(DIRECTORY)
    log(f"removed {DIRECTORY}")


def _watch(stack: Stack) -> None:
    stopping = threading.Event()
    follower = follow_logs({name: stack.log_path(name) for name in stack.table}, stopping)
    try:
        supervise(stack, log, describe_exit=describe_exit)
    finally:
        stopping.set()
        follower.join()


@contextmanager
def _lock() -> Iterator[None]:
    """Lock .local against another `up` or `clean`. Raise LaunchError if it is locked."""
    DIRECTORY.mkdir(exist_ok=True)
    with (DIRECTORY / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LaunchError(f"`make up` is already running in {CHECKOUT}: stop it with `make down`") from None
        write_pid_file(DIRECTORY / LAUNCHER, os.getpid())
        try:
            yield
        finally:
            (DIRECTORY / LAUNCHER).unlink(missing_ok=True)


def _handle_signals() -> None:
    """Raise Interrupted on the first signal; only log a line on later ones."""

    def interrupt(number: int, _: FrameType | None) -> None:
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, _log_still_stopping)
        log(f"{signal.Signals(number).name}: stopping all processes in reverse order")
        raise Interrupted

    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, interrupt)


def _log_still_stopping(_number: int, _frame: FrameType | None) -> None:
    log("still stopping; please wait until all processes have exited")


def list_endpoints(stack: Stack, *, backing_only: bool) -> list[tuple[str, str, str]]:
    """Return the name, the address and the login of everything that is running."""
    endpoints, ports = stack.endpoints, stack.installation.ports
    minio = " / ".join(endpoints.root_keys)
    rows = [
        ("MinIO console", endpoints.minio_console, minio),
        (
            "RabbitMQ UI",
            endpoints.rabbitmq_management,
            f"admin / {stack.installation.secrets['RABBITMQ_ADMIN_PASSWORD']}",
        ),
        ("MinIO (S3)", endpoints.minio, " / ".join(endpoints.s3_uploader_keys)),
        ("RabbitMQ (AMQP)", f"127.0.0.1:{ports['RABBITMQ_PORT']}", "passwords in .local/secrets.env"),
        ("Postgres", f"127.0.0.1:{ports['POSTGRES_PORT']}/thumbmill", "passwords in .local/secrets.env"),
    ]
    if not backing_only:
        rows.insert(0, ("API docs", f"{endpoints.gateway}/docs", ""))
        if is_built():  # the gateway has just read it
            rows.insert(0, ("Web console", f"{endpoints.gateway}/", ""))
        rows.append(("Dead letters", ".venv/bin/thumbmill dead list", "docs/how-to/dead-letters.md"))
    return rows


def describe_endpoints(stack: Stack, *, backing_only: bool) -> list[str]:
    """Return a line for the address and the login of everything that is running."""
    rows = list_endpoints(stack, backing_only=backing_only)
    return [f"  {name:<16} {address:<32} {login}".rstrip() for name, address, login in rows]


def _print_endpoints(stack: Stack, *, backing_only: bool) -> None:
    for line in describe_endpoints(stack, backing_only=backing_only):
        log(line)
    log(f"logs are in {stack.installation.logs}; press Ctrl-C to stop")
