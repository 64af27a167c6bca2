"""A decoder's worker that fails when the comment of a JPEG asks for it; the thumbnailer starts it as its child.

It runs with the options of the real one, so it imports the installed package and the standard library alone.
"""

import ctypes
import mmap
import os
import re
import resource
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.thumbnailer.imaging.model import UndecodableImageError
from thumbmill.thumbnailer.sandbox import worker

_REQUEST = re.compile(rb"\xff\xfe..thumbmill-fault:(\w+)", re.DOTALL)  # COM, length, text
_CHUNK_BYTES = 64 * 1024 * 1024  # above malloc's threshold (sandbox/process.py): the kernel's zeroes cost no time
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000  # linux/fcntl.h
_PTRACE_ATTACH = 16  # sys/ptrace.h
_NO_PROCESS = 2**22 + 1  # no process can have this number: an attempt that is not refused has no effect


def main() -> None:
    """Be the worker, except that each image is searched for a request to fail first."""
    process_image = worker.process_image

    def fail_or_make(data: bytes, *args: Any, **kwargs: Any) -> Any:
        fail_if_asked(data)
        return process_image(data, *args, **kwargs)

    worker.process_image = fail_or_make
    worker.main()


def fail_if_asked(data: bytes) -> None:
    """Fail as the image's comment asks: crash, raise, wait or compute forever, and the like.

    Raise UndecodableImageError after trying to escape; its text lists what was refused.
    """
    request = _REQUEST.search(data, 0, 4096)
    match request[1] if request else None:
        case b"crash":
            ctypes.string_at(0)
        case b"raise":
            raise ValueError("asked to")
        case b"hang":
            threading.Event().wait()
        case b"spin":
            while True:
                pass
        case b"memory":
            hoard = []
            while True:
                hoard.append(bytes(_CHUNK_BYTES))
        case b"escape":
            raise UndecodableImageError(ErrorCode.UNREADABLE_IMAGE, try_to_escape())


def try_to_escape() -> str:
    """Try what an image that has taken the child over would try; return the list of what was refused."""
    refused = []
    for name, attempt in _ATTEMPTS.items():
        try:
            attempt()
        except PermissionError:
            refused.append(name)
    return "refused: " + ", ".join(refused)


def _call(function: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc[function](*arguments) == -1:
        raise OSError(ctypes.get_errno(), function)


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


_ATTEMPTS: dict[str, Callable[[], object]] = {
    "socket": lambda: socket.socket(socket.AF_INET),
    "connect": lambda: _call("connect", 0, b"\1\0/run/docker.sock", 18),
    "execve": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606
    "fork": _fork,
    "stat": lambda: Path("/etc/passwd").stat(),
    "statat": lambda: _call("fstatat", _AT_FDCWD, b"/etc/passwd", ctypes.create_string_buffer(256), _AT_EMPTY_PATH),
    "read": lambda: Path("/etc/passwd").read_bytes(),
    "write": lambda: Path("thumbmill-escaped").write_bytes(b""),
    "list": lambda: list(Path("/").iterdir()),
    "unlink": lambda: Path("thumbmill-escaped").unlink(),
    "code": lambda: mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_EXEC),
    "kill": lambda: os.kill(_NO_PROCESS, signal.SIGKILL),
    "tgkill": lambda: _call("tgkill", _NO_PROCESS, _NO_PROCESS, signal.SIGKILL),
    "ptrace": lambda: _call("ptrace", _PTRACE_ATTACH, _NO_PROCESS, None, None),
    "prlimit": lambda: resource.prlimit(_NO_PROCESS, resource.RLIMIT_CPU),
}


if __name__ == "__main__":
    main()
