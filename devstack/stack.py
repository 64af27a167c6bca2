"""The whole system as one object: `up` runs it, and tests start, stop and kill its processes."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from devstack import services
from devstack.endpoints import Endpoints
from devstack.envfile import write_private_env_file
from devstack.errors import LaunchError
from devstack.installation import Installation, open_installation
from devstack.minio import describe_minio, describe_minio_watch, describe_provision
from devstack.polling import pause
from devstack.ports import ports_from
from devstack.postgres import describe_postgres, describe_roles
from devstack.processes import Process, kill_group, read_pid_file, spawn
from devstack.rabbitmq import describe_epmd, describe_rabbitmq, describe_rabbitmq_watch

_STOP_SECONDS = 40.0  # longer than the services' own 20 s
_TAIL_LINES = 25
_POLL_SECONDS = 0.05


class Stack:
    """The processes of one installation, started, stopped and killed by name.

    `directory` is for all files. `ports` are by variable, by default those of the environment. `environment` has
    settings for the services, which take precedence. `log` is called with each progress line.
    """

    def __init__(
        self,
        directory: Path,
        ports: Mapping[str, int] | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        log: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.installation: Installation = open_installation(
            directory, ports or ports_from(os.environ), environment or {}, log
        )
        self.endpoints = Endpoints(self.installation)
        self._log = log
        processes = [
            describe_epmd(self.installation),
            describe_postgres(self.installation),
            describe_rabbitmq(self.installation),
            describe_minio(self.installation),
            *services.describe_services(self.installation),
            # `up` does not start these two, since tests delete queues and buckets on purpose.
            describe_minio_watch(self.installation),
            describe_rabbitmq_watch(self.installation),
        ]
        self.table: dict[str, Process] = {process.name: process for process in processes}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        # A child gets its parent-death signal when the *thread* that started it ends: one thread starts them all.
        self._spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")

    def up(self, *, backing_only: bool = False) -> None:
        """Start all processes in order, each after those that it needs.

        Raise LaunchError. The caller has to call `close` in that case too.
        """
        self.stop_stale_processes()
        for path in self.installation.logs.glob("*.log"):
            path.rename(path.with_suffix(".log.1"))
        write_private_env_file(self.installation.operator_file, services.describe_operator(self.installation))
        self.start("epmd")
        self.start("rabbitmq", wait=False)  # by far the slowest; the others start meanwhile
        self.start("postgres", wait=False)
        self.wait_ready("postgres")
        self._run_command("roles", *describe_roles(self.installation))
        if not backing_only:
            self._run_command("migrate", *services.describe_migrate(self.installation))
        self.wait_ready("rabbitmq")  # before MinIO: events for an exchange without queues are lost
        self.start("minio")
        self._run_command("provision", *describe_provision(self.installation))
        if not backing_only:
            for name in services.NAMES:
                self.start(name, wait=False)
            for name in services.NAMES:
                self.wait_ready(name)

    def close(self) -> None:
        """Stop all processes in reverse order; kill those that do not stop in time."""
        for name in reversed(self.table):
            self.stop(name)
        self._spawner.shutdown()

    def start(
        self, name: str, *, wait: bool = True, command: Sequence[str] | None = None, **environment: str
    ) -> None:
        """Start one process, and by default wait until it is ready.

        For this run only, ``command`` replaces the process's command, and settings are added.
        """
        process = replace(self.table[name], command=command) if command else self.table[name]
        if self.is_running(name):
            raise LaunchError(f"{name} is already running")
        self._started[name] = time.monotonic()
        process.prepare()
        merged = {**process.environment, **environment}
        arguments = (process, self.log_path(name), self._pid_file(name), merged)
        self._children[name] = self._spawner.submit(spawn, *arguments).result()
        if wait:
            self.wait_ready(name)

    def wait_ready(self, name: str, seconds: float | None = None) -> None:
        """Wait until the process is ready.

        Raise LaunchError, with the end of its log, if it exits or takes too long.
        """
        process = self.table[name]
        timeout = seconds or process.start_seconds
        deadline = time.monotonic() + timeout
        while not process.is_ready():
            code = self._children[name].poll()
            if code is not None:
                raise LaunchError(
                    f"{name} exited with {describe_exit(code)} before it was ready\n{self.log_tail(name)}"
                )
            if time.monotonic() > deadline:
                raise LaunchError(f"{name} is not ready after {timeout:.0f} s\n{self.log_tail(name)}")
            pause(_POLL_SECONDS)
        self._log(f"{name} is ready ({time.monotonic() - self._started[name]:.1f} s)")

    def stop(self, name: str, seconds: float = _STOP_SECONDS) -> None:
        """Stop one process gracefully if it is running; kill its group if it takes too long."""
        child = self._children.get(name)
        if child is None:
            return
        if child.poll() is None:
            self._log(f"stopping {name}")
            child.send_signal(self.table[name].stop_signal)
            try:
                child.wait(seconds)
            except subprocess.TimeoutExpired:
                self._log(f"{name} is still running after {seconds:.0f} s: killing it")
        self._reap(name, everything=True)

    def kill(self, name: str) -> None:
        """Kill one process with SIGKILL, a server with its children; those of a service exit themselves."""
        self._children[name].kill()
        self._reap(name, everything=self.table[name].kill_group)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to the process, for instance SIGSTOP or SIGCONT."""
        self._children[name].send_signal(number)

    def restart(
        self, name: str, *, wait: bool = True, command: Sequence[str] | None = None, **environment: str
    ) -> None:
        """Stop and start one process, with another command and additional settings for this run."""
        self.stop(name)
        self.start(name, wait=wait, command=command, **environment)

    def revive(self, name: str) -> None:
        """Restart a process that has exited, and wait until it is ready. Raise LaunchError."""
        self._reap(name, everything=self.table[name].kill_group)
        self.start(name)

    def wait_exit(self, name: str, seconds: float) -> int:
        """Wait for the process to exit and return its exit code (negative: the signal's number)."""
        try:
            code = self._children[name].wait(seconds)
        except subprocess.TimeoutExpired:
            raise LaunchError(f"{name} is still running after {seconds:.0f} s\n{self.log_tail(name)}") from None
        self._reap(name, everything=self.table[name].kill_group)
        return code

    def is_running(self, name: str) -> bool:
        """Return whether the process was started and has not exited."""
        child = self._children.get(name)
        return child is not None and child.poll() is None

    def pid(self, name: str) -> int:
        """Return the process's id."""
        return self._children[name].pid

    def find_exited(self) -> str | None:
        """Return the name of a process that exited without being stopped, if there is one."""
        return next((name for name, child in self._children.items() if child.poll() is not None), None)

    def exit_code(self, name: str) -> int | None:
        """Return the exit code of a process that exited without being stopped."""
        return self._children[name].poll()

    def log_path(self, name: str) -> Path:
        """Return the path of the process's log."""
        return self.installation.logs / f"{name}.log"

    def log_tail(self, name: str) -> str:
        """Return the last lines of the process's log, indented, after its path."""
        path = self.log_path(name)
        lines = (
            path.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:] if path.exists() else []
        )
        return "\n".join([f"  last lines of {path}:", *(f"  | {line}" for line in lines)])

    def stop_stale_processes(self) -> None:
        """Stop the processes of a killed launcher. The kernel has signalled them; this waits for their exit."""
        for name in reversed(self.table):
            pid = read_pid_file(self._pid_file(name))
            if pid is None:
                continue
            self._log(f"stopping {name} (process {pid}) of an earlier run that was killed")
            os.kill(pid, self.table[name].stop_signal)
            deadline = time.monotonic() + _STOP_SECONDS
            while read_pid_file(self._pid_file(name)) and time.monotonic() < deadline:
                pause(_POLL_SECONDS)
            kill_group(pid)
            self._pid_file(name).unlink(missing_ok=True)

    def _reap(self, name: str, *, everything: bool) -> None:
        child = self._children.pop(name)
        if everything:
            kill_group(child.pid)
        child.wait()
        self._pid_file(name).unlink(missing_ok=True)

    def _pid_file(self, name: str) -> Path:
        return self.installation.pids / f"{name}.pid"

    def _run_command(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        started = time.monotonic()
        with self.log_path(name).open("ab") as log:
            result = subprocess.run(
                command,
                env=environment,
                cwd=self.installation.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
            )
        if result.returncode != 0:
            raise LaunchError(f"{name} failed with {describe_exit(result.returncode)}\n{self.log_tail(name)}")
        self._log(f"{name}: done ({time.monotonic() - started:.1f} s)")


def stop_stale_processes(directory: Path, log: Callable[[str], None]) -> None:
    """Stop the processes that a killed launcher left in the directory, if there are any."""
    if any(read_pid_file(pid_file) for pid_file in (directory / "run").glob("*.pid")):
        Stack(directory, log=log).stop_stale_processes()


def describe_exit(code: int) -> str:
    """Return a Popen exit code as text."""
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
