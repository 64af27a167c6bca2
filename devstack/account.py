"""The account that the backing servers run as, and the directory for their data.

Started by root, all three servers run as `nobody`: Postgres refuses to run as root, and the others do not need it.
Started by any other user, they run as that user.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_POINTER = "data-directory"  # contains the data directory's path if it is outside


@dataclass(frozen=True)
class Account:
    """A user account of this machine."""

    name: str
    uid: int
    gid: int


def find_backing_account() -> Account | None:
    """Return the unprivileged account for the backing servers, or None if this process is unprivileged."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def change_user(account: Account | None) -> list[str]:
    """Return the setpriv options that drop root's privileges, or none if there is no account to change to."""
    return [f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"] if account else []


def chown_tree(path: Path, account: Account | None) -> None:
    """Make the account the owner of the path and everything below it."""
    if account:
        for part in (path, *path.rglob("*")):
            os.chown(part, account.uid, account.gid, follow_symlinks=False)


def choose_data_directory(directory: Path, account: Account | None, log: Callable[[str], None]) -> Path:
    """Return the backing servers' data directory, and create it on first use.

    It is `data` in the given directory. If the account cannot enter that (a checkout in a private home directory,
    for instance), it is a directory under /var/tmp, whose path is kept in a file.
    """
    pointer = directory / _POINTER
    data = Path(pointer.read_text(encoding="utf-8").strip()) if pointer.exists() else directory / "data"
    if account and not pointer.exists() and not _can_enter(account, directory):
        data = Path(tempfile.mkdtemp(prefix="thumbmill-", dir="/var/tmp"))
        pointer.write_text(f"{data}\n", encoding="utf-8")
        log(f"{account.name} cannot enter {directory}, so the servers store their data in {data}")
    data.mkdir(mode=0o700, exist_ok=True)
    if account:
        os.chown(data, account.uid, account.gid)
    return data


def remove_data(directory: Path) -> None:
    """Remove the directory, and the data directory outside it if there is one."""
    pointer = directory / _POINTER
    if pointer.exists():
        shutil.rmtree(pointer.read_text(encoding="utf-8").strip(), ignore_errors=True)
    shutil.rmtree(directory, ignore_errors=True)


def _can_enter(account: Account, directory: Path) -> bool:
    command = ["setpriv", *change_user(account), "test", "-x", str(directory)]
    return subprocess.run(command, check=False).returncode == 0
