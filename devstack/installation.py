"""One installation: where it is, its ports, its secrets, and who runs it."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from devstack.account import Account, find_backing_account, place_data
from devstack.credentials import load_secrets

CHECKOUT = Path(__file__).resolve().parents[1]
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Installation:
    """Everything that the descriptions of the processes are made from."""

    directory: Path
    data: Path
    ports: Mapping[str, int]
    secrets: Mapping[str, str]
    account: Account | None
    overrides: Mapping[str, str]  # settings for the services, over the launcher's own

    @property
    def logs(self) -> Path:
        """Where each process has its log file."""
        return self.directory / "logs"

    @property
    def pids(self) -> Path:
        """Where each running process has its pid file."""
        return self.directory / "run"

    @property
    def operator_file(self) -> Path:
        """What `thumbmill` reads, so that it works beside a running `up`."""
        return self.directory / "operator.env"

    @property
    def queue(self) -> str:
        """The image queue's name, which RABBITMQ_QUEUE may change."""
        return self.overrides.get("RABBITMQ_QUEUE") or os.environ.get("RABBITMQ_QUEUE") or "image_queue"

    def server_environment(self, home: Path) -> dict[str, str]:
        """Return a clean environment: a developer's RABBITMQ_* or PG* must not reach our servers."""
        return {"PATH": _SYSTEM_PATH, "HOME": str(home), "LANG": "C.UTF-8"}


def open_installation(
    directory: Path, ports: Mapping[str, int], overrides: Mapping[str, str], log: Callable[[str], None]
) -> Installation:
    """Return the installation in the directory, made with its secrets on first use."""
    directory = directory.resolve()
    for part in (directory, directory / "logs", directory / "run"):
        part.mkdir(parents=True, exist_ok=True)
    account = find_backing_account()
    return Installation(
        directory=directory,
        data=place_data(directory, account, log),
        ports=dict(ports),
        secrets=load_secrets(directory / "secrets.env", os.environ),
        account=account,
        overrides=dict(overrides),
    )
