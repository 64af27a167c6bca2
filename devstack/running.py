"""The record that a running `up` writes, for `status` and `smoke` in the same checkout.

They do not read the environment, since that of another terminal may be meant for another installation.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack.envfile import read_env_file, write_private_env_file
from devstack.errors import LaunchError
from devstack.installation import CHECKOUT
from devstack.ports import DEFAULTS
from devstack.processes import read_pid_file

LAUNCHER = "launcher.pid"
_RECORD = "running.env"
_KEYS = "API_KEYS"


@dataclass(frozen=True)
class Running:
    """One running installation: its ports by variable, and an API key if it requires one."""

    ports: Mapping[str, int]
    api_key: str | None


@contextmanager
def recorded(directory: Path, ports: Mapping[str, int], environment: Mapping[str, str]) -> Iterator[Running]:
    """Write the record of this installation, and remove it after the block."""
    running = Running(dict(ports), environment.get(_KEYS, "").partition(",")[0].strip() or None)
    record = directory / _RECORD
    write_private_env_file(
        record, {**{name: str(port) for name, port in ports.items()}, _KEYS: running.api_key or ""}
    )
    try:
        yield running
    finally:
        record.unlink(missing_ok=True)


def find_running(directory: Path) -> Running | None:
    """Return the record of the `up` in this directory, or None if it is not running or still starting."""
    record = directory / _RECORD
    if read_pid_file(directory / LAUNCHER) is None or not record.exists():
        return None
    values = read_env_file(record)
    return Running({name: int(values[name]) for name in DEFAULTS}, values[_KEYS] or None)


def require_running(directory: Path) -> Running:
    """Return the record of the `up` in this directory. Raise LaunchError if it is not running."""
    if running := find_running(directory):
        return running
    raise LaunchError(f"the system in {CHECKOUT} is not running: start it there with `make up`")
