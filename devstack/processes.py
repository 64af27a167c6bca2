"""Starting and ending one process, so that nothing of ours outlives us and nothing that is not ours is touched."""

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
    """One row of the table of processes."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    is_ready: Callable[[], bool]
    directory: Path
    account: Account | None = None
    prepare: Callable[[], None] = lambda: None  # files that have to be there before each start
    stop_signal: signal.Signals = signal.SIGTERM
    start_seconds: float = 60
    # A killed server takes its children along, as a power cut would; a killed service's have to notice it.
    kill_group: bool = False


def spawn(process: Process, log: Path, pid_file: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the process, in a group of its own (Ctrl-C is the launcher's to handle), with its output in the log.

    The kernel sends it its stop signal when the thread that called this ends, however it ends.
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
    """Kill everything that the process with this id and group has started and that is still there."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def write_pid_file(path: Path, pid: int) -> None:
    """Record the process together with the time it was started at, since ids are used again."""
    path.write_text(json.dumps({"pid": pid, "started": _start_ticks(pid)}), encoding="utf-8")


def read_pid_file(path: Path) -> int | None:
    """Return the id if that very process is still running, else None."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    ticks = _start_ticks(record["pid"])
    return record["pid"] if ticks is not None and ticks == record["started"] else None


def _start_ticks(pid: int) -> int | None:
    """Return field 22 of /proc/PID/stat, see proc(5); None for a process that is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])
