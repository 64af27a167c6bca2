"""File systems in memory (tmpfs) that a drill can fill.

They are mounted in a separate mount namespace, so they disappear even if a drill is killed. That needs root, or a
kernel that allows user namespaces.
"""

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

from devstack.account import Account

_NEW_MOUNTS, _NEW_USERS = 0x00020000, 0x10000000  # CLONE_*; os.unshare came with Python 3.12
_REMOUNT, _PRIVATE = 0x20, 0x4000 | 0x40000  # MS_REMOUNT; MS_REC | MS_PRIVATE
_DETACH = 2  # MNT_DETACH
_FREE = "75%"  # of the machine's memory; only written data use any
_PAGE = 4096

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Disk:
    """A file system in memory."""

    path: Path

    def mount(self, account: Account | None) -> None:
        """Mount it over a directory, writable for an account. Raise OSError if that is not permitted."""
        self.path.mkdir(parents=True, exist_ok=True)
        owner = f",uid={account.uid},gid={account.gid}" if account else ""
        _mount(self.path, f"size={_FREE},mode=700{owner}")
        # The usage must not be 0, since a size limit of 0 means no limit.
        (self.path / "placeholder").write_bytes(bytes(_PAGE))

    def fill(self, free_bytes: int) -> None:
        """Limit the size so that only this many bytes are free."""
        now = os.statvfs(self.path)
        used = (now.f_blocks - now.f_bfree) * now.f_frsize
        _mount(self.path, f"size={used + free_bytes}", _REMOUNT)

    def free(self) -> None:
        """Remove the limit."""
        _mount(self.path, f"size={_FREE}", _REMOUNT)

    def unmount(self) -> None:
        _libc.umount2(os.fsencode(self.path), _DETACH)


def enter_mount_namespace() -> None:
    """Move this process and its later children into a new mount namespace. Call it before any thread starts.

    Raise OSError if that is not permitted.
    """
    uid, gid = os.geteuid(), os.getegid()
    _check(_libc.unshare(_NEW_MOUNTS if uid == 0 else _NEW_MOUNTS | _NEW_USERS))
    if uid != 0:
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1", encoding="ascii")
    _check(_libc.mount(None, b"/", None, _PRIVATE, None))


def _mount(path: Path, options: str, flags: int = 0) -> None:
    _check(_libc.mount(b"drill", os.fsencode(path), b"tmpfs", flags, options.encode()))


def _check(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
