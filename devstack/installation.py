"""One installation: its directories, ports, secrets and account."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from devstack.account import Account, choose_data_directory, find_backing_account
from devstack.credentials import create_signing_keys, load_secrets

CHECKOUT = Path(__file__).resolve().parents[1]
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Installation:
    """The values that the processes are configured with."""

    directory: Path
    data: Path
    ports: Mapping[str, int]
    secrets: Mapping[str, str]
    account: Account | None
    overrides: Mapping[str, str]  # settings for the services, which take precedence

    @property
    def logs(self) -> Path:
        """The directory of the log files, one for each process."""
        return self.directory / "logs"

    @property
    def pids(self) -> Path:
        """The directory of the pid files, one for each running process."""
        return self.directory / "run"

    @property
    def operator_file(self) -> Path:
        """The settings file of `thumbmill` for this installation."""
        return self.directory / "operator.env"

    @property
    def signing_keys_file(self) -> Path:
        """The keys of signed links."""
        return self.directory / "signing-keys"

    @property
    def queue(self) -> str:
        """The name of the image queue; RABBITMQ_QUEUE overrides it."""
        return self.overrides.get("RABBITMQ_QUEUE") or os.environ.get("RABBITMQ_QUEUE") or "image_queue"

    def server_environment(self, home: Path) -> dict[str, str]:
        """Return a minimal environment: RABBITMQ_* and PG* variables of the shell must not reach our servers."""
        return {"PATH": _SYSTEM_PATH, "HOME": str(home), "LANG": "C.UTF-8"}


def open_installation(
    directory: Path, ports: Mapping[str, int], overrides: Mapping[str, str], log: Callable[[str], None]
) -> Installation:
    """Return the installation in the directory; create it and its secrets on first use."""
    directory = directory.resolve()
    for part in (directory, directory / "logs", directory / "run"):
        part.mkdir(parents=True, exist_ok=True)
    create_signing_keys(directory / "signing-keys")
    account = find_backing_account()
    return Installation(
        directory=directory,
        data=choose_data_directory(directory, account, log),
        ports=dict(ports),
        secrets=load_secrets(directory / "secrets.env", os.environ),
        account=account,
        overrides=dict(overrides),
    )
