"""Starts and kills single processes, so that none outlives the launcher and no other process is affected."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from devstack.account import Account, change_user


@dataclass(frozen=True)
class Process:
    """A process: how it is started, checked and stopped."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    is_ready: Callable[[], bool]
    directory: Path
    account: Account | None = None
    prepare: Callable[[], None] = lambda: None  # creates the files needed before each start
    stop_signal: signal.Signals = signal.SIGTERM
    start_seconds: float = 60
    # Killing a server kills its children, too, as a power cut would. Children of a killed service exit themselves.
    kill_group: bool = False


def spawn(process: Process, log: Path, pid_file: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the process with its output in the log, in its own group so that Ctrl-C reaches only the launcher.

    The kernel sends it its stop signal when the calling thread ends, even if that thread is killed.
    """
    death_signal = process.stop_signal.name.removeprefix("SIG")
    wrapper = ["setpriv", "--pdeathsig", death_signal, *change_user(process.account), "--"]
    with log.open("ab") as output:
        child = subprocess.Popen(
            [*wrapper, *process.command],
            env=dict(environment),
            cwd=process.directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    write_pid_file(pid_file, child.pid)
    return child


def kill_group(pid: int) -> None:
    """Kill the process group with this id."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def write_pid_file(path: Path, pid: int) -> None:
    """Record the process id and its start time, since ids are reused."""
    path.write_text(json.dumps({"pid": pid, "started": _start_ticks(pid)}), encoding="utf-8")


def read_pid_file(path: Path) -> int | None:
    """Return the id if the same process is still running, else None."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    ticks = _start_ticks(record["pid"])
    return record["pid"] if ticks is not None and ticks == record["started"] else None


def _start_ticks(pid: int) -> int | None:
    """Return the start time, field 22 of /proc/PID/stat (proc(5)); None if the process has exited."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])
