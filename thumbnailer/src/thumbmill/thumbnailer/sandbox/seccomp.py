"""The system calls that a decoder may make, and the kernel's filter (seccomp-bpf) that denies all others.

The list names what is allowed: it is short, and it excludes the calls that future kernels add. A denied call
returns EPERM and does not kill: libraries try more than they need, and if an image makes one misbehave, that
library's own error is a better result than a dead child. newfstatat, which newer libcs use for open files too, is
not on the list: a filter cannot see whether it gets a path, and nothing here needs it.
"""

import errno
import struct
from dataclasses import dataclass

# Each with its number on x86_64 (asm/unistd_64.h) and on aarch64 (asm-generic/unistd.h, which has ppoll for poll).
# None takes a file name, an address or another process: a child uses only what it was given open.
_ALLOWED = """
    recvfrom 45 207        sendto 44 206           recvmsg 47 212             sendmsg 46 211
    read 0 63              write 1 64              readv 19 65                writev 20 66
    close 3 57             lseek 8 62              poll 7 73                  ppoll 271 73
    brk 12 214             munmap 11 215           mremap 25 216              madvise 28 233
    futex 202 98           set_robust_list 273 99  rseq 334 293               set_tid_address 218 96
    sched_yield 24 124     getcpu 309 168          sched_getaffinity 204 123  sysinfo 99 179
    gettid 186 178         getpid 39 172           exit 60 93                 exit_group 231 94
    rt_sigaction 13 134    rt_sigprocmask 14 135   rt_sigreturn 15 139        sigaltstack 131 132
    clock_gettime 228 113  clock_getres 229 114    clock_nanosleep 230 115    restart_syscall 219 128
    gettimeofday 96 169    nanosleep 35 101        getrusage 98 165           uname 63 160
    fstat 5 80             getrandom 318 278       membarrier 324 283
"""


@dataclass(frozen=True)
class Architecture:
    """One kernel ABI, with the numbers of the calls that are allowed conditionally."""

    audit: int  # AUDIT_ARCH_* of linux/audit.h
    column: int  # of the table above
    seccomp: int
    mmap: int
    mprotect: int
    clone: int
    prlimit64: int
    tgkill: int
    clone3: int = 435


ARCHITECTURES = {
    "x86_64": Architecture(0xC000003E, 1, seccomp=317, mmap=9, mprotect=10, clone=56, prlimit64=302, tgkill=234),
    "aarch64": Architecture(
        0xC00000B7, 2, seccomp=277, mmap=222, mprotect=226, clone=220, prlimit64=261, tgkill=131
    ),
}
_PROT_EXEC, _CLONE_THREAD = 4, 0x10000  # sys/mman.h, linux/sched.h
_LOWER_HALF = 0xFFFFFFFF

# linux/bpf_common.h: BPF_LD|BPF_W|BPF_ABS, BPF_ALU|BPF_AND|BPF_K, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K
_LOAD, _AND, _COMPARE, _RETURN = 0x20, 0x54, 0x15, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # fields of struct seccomp_data, by their offset
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO


def build_filter(on: Architecture, pid: int) -> bytes:
    """Write the filter for the process ``pid``: an array of struct sock_filter, of eight bytes each."""
    filtered = [
        *(_allow(int(number)) for number in _ALLOWED.split()[on.column :: 3]),
        _allow_if(on.mmap, 2, _PROT_EXEC, 0),  # memory for data, not for code
        _allow_if(on.mprotect, 2, _PROT_EXEC, 0),
        _allow_if(on.clone, 0, _CLONE_THREAD, _CLONE_THREAD),  # a thread, not a process; libde265 needs one
        _allow_if(on.prlimit64, 0, _LOWER_HALF, 0),  # its own limits
        _allow_if(on.tgkill, 0, _LOWER_HALF, pid),  # itself, as abort does
        # A filter cannot read its flags; where a kernel does not know it, glibc falls back to clone.
        _do(_COMPARE, on.clone3, skip_unless=1) + _do(_RETURN, _FAIL | errno.ENOSYS),
    ]
    deny = _do(_RETURN, _FAIL | errno.EPERM)
    # First the architecture: a process of x86_64 can make calls of i386, which have other numbers.
    head = _do(_LOAD, _ARCHITECTURE) + _do(_COMPARE, on.audit, skip_if=1) + deny + _do(_LOAD, _NUMBER)
    return head + b"".join(filtered) + deny


def _allow(number: int) -> bytes:
    return _do(_COMPARE, number, skip_unless=1) + _do(_RETURN, _ALLOW)


def _allow_if(number: int, argument: int, bits: int, value: int) -> bytes:
    """Allow a call if these bits of an argument have this value, which is in the lower half; deny it otherwise."""
    load = _do(_LOAD, _ARGUMENTS + 8 * argument) + _do(_AND, bits) + _do(_COMPARE, value, skip_unless=1)
    then = load + _do(_RETURN, _ALLOW) + _do(_RETURN, _FAIL | errno.EPERM)
    return _do(_COMPARE, number, skip_unless=len(then) // 8) + then


def _do(code: int, value: int, *, skip_if: int = 0, skip_unless: int = 0) -> bytes:
    return struct.pack("=HBBI", code, skip_if, skip_unless, value)
