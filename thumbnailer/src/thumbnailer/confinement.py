"""What a decoder's child takes from itself before it looks at a stranger's bytes."""

import ctypes
import math
import os
import resource
import signal
import struct

from thumbnailer import system_calls

_OPEN_FILES = 32
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
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def limit_system_calls() -> str:
    """Give up every system call but those that decoding takes; return why that failed, or an empty string.

    From here on there is no way to a socket, a file, another program or another process, for this thread and all
    others. What needs a file, such as importing a module, must have happened before.
    """
    machine = os.uname().machine if ctypes.sizeof(ctypes.c_void_p) == 8 else "32-bit processes"
    architecture = system_calls.ARCHITECTURES.get(machine)
    if architecture is None:
        return f"there is no table of system calls for {machine}"
    instructions = system_calls.write_filter(architecture, os.getpid())
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
