"""What a running `up` has recorded about itself, for `status` and `smoke` of the same checkout.

The environment of another terminal may describe another installation, so neither of them reads it.
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
    """One running installation: its ports by variable, and a key for its API where it asks for one."""

    ports: Mapping[str, int]
    api_key: str | None


@contextmanager
def recorded(directory: Path, ports: Mapping[str, int], environment: Mapping[str, str]) -> Iterator[Running]:
    """Keep a record of this installation in the directory while the block runs."""
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
    """Return what the `up` of this directory has recorded, or None when it does not run or is not that far yet."""
    record = directory / _RECORD
    if read_pid_file(directory / LAUNCHER) is None or not record.exists():
        return None
    values = read_env_file(record)
    return Running({name: int(values[name]) for name in DEFAULTS}, values[_KEYS] or None)


def require_running(directory: Path) -> Running:
    """Return what the `up` of this directory has recorded. Raises LaunchError when it does not run."""
    if running := find_running(directory):
        return running
    raise LaunchError(f"nothing is running in {CHECKOUT}: start it there by `make up`")
