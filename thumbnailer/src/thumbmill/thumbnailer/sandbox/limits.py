"""The restrictions that a decoder's child puts on itself before it reads untrusted bytes."""

import ctypes
import math
import os
import resource
import signal
import struct
from pathlib import Path

from thumbmill.thumbnailer.sandbox import seccomp

_OPEN_FILES = 32
# libde265 starts a thread for each picture or tile. Other libraries are configured not to start one for each core.
_EXTRA_THREADS = 16
# The range from which systemd takes dynamic users, so no file belongs to one of them.
_FIRST_UID, _UIDS = 61184, 4336
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


def enter_user_namespace() -> bool:
    """Enter a user namespace, in which the kernel counts threads separately; return whether that was allowed.

    Call it while there is one thread. The kernel never limits root's threads; for root there is ``drop_user``.
    """
    return os.geteuid() != 0 and ctypes.CDLL(None).unshare(_CLONE_NEWUSER) == 0


def drop_user(*, in_user_namespace: bool) -> str:
    """Limit the number of threads. As root, become an unused user first, since the kernel never limits root's.

    That user owns nothing and has no rights, in case the filter of system calls has a hole. Call this after all
    files are read. Return the reason why root cannot change its user, or an empty string.
    """
    if os.geteuid() == 0:
        if not _effective_capabilities() >> _CAP_KILL & 1:
            return "root without CAP_KILL could not kill another user's process"
        user = _FIRST_UID + os.getpid() % _UIDS
        try:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
        except OSError as error:
            return f"root cannot change its user: {error.strerror}"
        die_with_parent()  # the change of user has cancelled it
    elif not in_user_namespace:
        return ""
    limit = len(list(Path("/proc/self/task").iterdir())) + _EXTRA_THREADS
    resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
    return ""


def _effective_capabilities() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)


def install_seccomp_filter() -> str:
    """Deny every system call but those that decoding needs; return the reason if that failed, or an empty string.

    From here on no thread can reach a socket, a file, another program or another process. Do everything that needs
    a file before, such as importing modules.
    """
    machine = os.uname().machine if ctypes.sizeof(ctypes.c_void_p) == 8 else "32-bit processes"
    architecture = seccomp.ARCHITECTURES.get(machine)
    if architecture is None:
        return f"there is no table of system calls for {machine}"
    instructions = seccomp.build_filter(architecture, os.getpid())
    array = ctypes.create_string_buffer(instructions)
    program = struct.pack("HxxxxxxP", len(instructions) // 8, ctypes.addressof(array))  # struct sock_fprog
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)  # or only root could
    failed = libc.syscall(architecture.seccomp, _SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC, program)
    return f"the kernel rejects the seccomp filter: {os.strerror(ctypes.get_errno())}" if failed else ""


def extend_cpu_limit(seconds: float) -> None:
    """Allow the process this much more CPU time from now on; the kernel kills it at the limit."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft = math.ceil(usage.ru_utime + usage.ru_stime + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.RLIM_INFINITY))
