"""Who the backing servers run as, and where that user can keep its data.

One rule: called by root, all three servers run as `nobody` (Postgres refuses root, and neither of the others needs
it); called by anybody else, as the caller.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_POINTER = "data-directory"  # remembers where the data are, when they are not beside it


@dataclass(frozen=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int


def find_backing_account() -> Account | None:
    """Return the unprivileged user for the backing servers, or None when the caller is unprivileged itself."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def change_user(account: Account | None) -> list[str]:
    """Return the setpriv options that drop root's rights; none when there are none to drop."""
    return [f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"] if account else []


def hand_over(path: Path, account: Account | None) -> None:
    """Make the account the owner of the path and of all below it."""
    if account:
        for part in (path, *path.rglob("*")):
            os.chown(part, account.uid, account.gid, follow_symlinks=False)


def place_data(directory: Path, account: Account | None, log: Callable[[str], None]) -> Path:
    """Return the backing servers' directory, making it on first use.

    It is `data` in the given directory, or one under /var/tmp when the account cannot get there (a checkout below
    a home directory that is closed to others, for instance); a file remembers it.
    """
    pointer = directory / _POINTER
    data = Path(pointer.read_text(encoding="utf-8").strip()) if pointer.exists() else directory / "data"
    if account and not pointer.exists() and not _can_enter(account, directory):
        data = Path(tempfile.mkdtemp(prefix="thumbmill-", dir="/var/tmp"))
        pointer.write_text(f"{data}\n", encoding="utf-8")
        log(f"{account.name} cannot enter {directory}, so the servers keep their data in {data}")
    data.mkdir(mode=0o700, exist_ok=True)
    if account:
        os.chown(data, account.uid, account.gid)
    return data


def remove_data(directory: Path) -> None:
    """Remove the directory, and the data it points to."""
    pointer = directory / _POINTER
    if pointer.exists():
        shutil.rmtree(pointer.read_text(encoding="utf-8").strip(), ignore_errors=True)
    shutil.rmtree(directory, ignore_errors=True)


def _can_enter(account: Account, directory: Path) -> bool:
    command = ["setpriv", *change_user(account), "test", "-x", str(directory)]
    return subprocess.run(command, check=False).returncode == 0
