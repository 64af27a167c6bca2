"""What a decoder's child takes from itself before it looks at a stranger's bytes."""

import ctypes
import math
import os
import resource
import signal
import struct
from pathlib import Path

from thumbmill.thumbnailer.sandbox import seccomp

_OPEN_FILES = 32
_MORE_THREADS = (
    16  # libde265 has one for each picture or tile; libraries that would have one a core are told not to
)
# Where systemd takes users from that live for a while, so nobody owns a file as one of them.
_FIRST_USER, _USERS = 61184, 4336
_CAP_KILL = 5  # linux/capability.h
_CLONE_NEWUSER = 0x10000000  # linux/sched.h
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38  # from linux/prctl.h
_SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC = 1, 1  # from linux/seccomp.h


def limit_resources(memory_bytes: int) -> None:
    """Limit memory and files, and die with the parent."""
    for limit, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        resource.setrlimit(limit, (value, value))
    die_with_parent()


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def count_threads_apart() -> bool:
    """Enter a user namespace, in which the kernel counts threads by itself; tell whether that was allowed.

    To be done while there is one thread. Root's threads are not limited anywhere: ``leave_user`` is for them.
    """
    return os.geteuid() != 0 and ctypes.CDLL(None).unshare(_CLONE_NEWUSER) == 0


def leave_user(*, counted_apart: bool) -> str:
    """Limit the number of threads, where they are counted apart, and as root become another user to have it so.

    That user is nobody else's and has no rights, so that nothing in the system is a decoder's, should the filter of
    system calls have a hole. To be done when all files are read. Returns why root can't do so, or an empty string.
    """
    if os.geteuid() == 0:
        if not _read_capabilities() >> _CAP_KILL & 1:
            return "root without CAP_KILL could not end another user's process"
        user = _FIRST_USER + os.getpid() % _USERS
        try:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
        except OSError as fault:
            return f"root can't become another user: {fault.strerror}"
        die_with_parent()  # which the change has made void
    elif not counted_apart:
        return ""
    limit = len(list(Path("/proc/self/task").iterdir())) + _MORE_THREADS
    resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
    return ""


def _read_capabilities() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)


def limit_system_calls() -> str:
    """Give up every system call but those that decoding takes; return why that failed, or an empty string.

    From here on there is no way to a socket, a file, another program or another process, for this thread and all
    others. What needs a file, such as importing a module, must have happened before.
    """
    machine = os.uname().machine if ctypes.sizeof(ctypes.c_void_p) == 8 else "32-bit processes"
    architecture = seccomp.ARCHITECTURES.get(machine)
    if architecture is None:
        return f"there is no table of system calls for {machine}"
    instructions = seccomp.write_filter(architecture, os.getpid())
    array = ctypes.create_string_buffer(instructions)
    program = struct.pack("HxxxxxxP", len(instructions) // 8, ctypes.addressof(array))  # struct sock_fprog
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)  # or only root could
    failed = libc.syscall(architecture.seccomp, _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC, program)
    return f"the kernel takes no seccomp filter: {os.strerror(ctypes.get_errno())}" if failed else ""


def allow_cpu(seconds: float) -> None:
    """Let the process use so much more CPU from now on; the kernel kills it then."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(usage.ru_utime + usage.ru_stime + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))
