"""Disks of our own in memory, which can be full at a word and are gone with the process that mounted them.

They live in a namespace of mounts that nobody else sees, so that nothing is left of them however a drill ends. Root
may have one, and so may anybody where the kernel allows namespaces of users.
"""

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

from devstack.account import Account

_NEW_MOUNTS, _NEW_USERS = 0x00020000, 0x10000000  # CLONE_*; os.unshare came with Python 3.12
_REMOUNT, _PRIVATE = 0x20, 0x4000 | 0x40000  # MS_REMOUNT; MS_REC | MS_PRIVATE
_DETACH = 2  # MNT_DETACH
_ROOMY = "75%"  # of the machine's memory; only what is written takes any
_PAGE = 4096

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Disk:
    """A file system in memory."""

    path: Path

    def mount(self, account: Account | None) -> None:
        """Put it over a directory, for an account to write to. Raises OSError where that is forbidden."""
        self.path.mkdir(parents=True, exist_ok=True)
        owner = f",uid={account.uid},gid={account.gid}" if account else ""
        _mount(self.path, f"size={_ROOMY},mode=700{owner}")
        (self.path / "something").write_bytes(bytes(_PAGE))  # a limit of 0 would be none

    def fill(self, left_bytes: int) -> None:
        """Leave only so much room."""
        now = os.statvfs(self.path)
        used = (now.f_blocks - now.f_bfree) * now.f_frsize
        _mount(self.path, f"size={used + left_bytes}", _REMOUNT)

    def relieve(self) -> None:
        """Give the room back."""
        _mount(self.path, f"size={_ROOMY}", _REMOUNT)

    def unmount(self) -> None:
        _libc.umount2(os.fsencode(self.path), _DETACH)


def open_namespace() -> None:
    """Give this process and its later children mounts of their own; to be called before there is any thread.

    Raises OSError where that is forbidden.
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


def _check(answer: int) -> None:
    if answer != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
