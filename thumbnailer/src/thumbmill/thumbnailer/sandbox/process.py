"""One child process, as its parent holds it; what runs inside is ``child_main``."""

import hashlib
import os
import shlex
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.text import replace_unprintable
from thumbmill.thumbnailer.imaging.model import (
    ImageResult,
    ProcessingOptions,
    SlowImageError,
    UndecodableImageError,
)
from thumbmill.thumbnailer.sandbox import framing
from thumbmill.thumbnailer.sandbox.cpu_deadline import LOOK_SECONDS, StalledError, Watch
from thumbmill.thumbnailer.sandbox.responses import ChildFaultError, read_answer

# A start is judged like a picture: by its progress. It takes 0.1 s of CPU time, and reads a hundred files, which a
# cold disk may take its time for.
START_SILENCE_SECONDS = 60
START_PATIENCE_SECONDS = 600
# Below RabbitMQ's own limit for a message in hand, which is half an hour. On a machine where a picture gets a
# hundredth of a core it may take so long; then it waits like after any passing fault.
PATIENCE_SECONDS = 900
END_SECONDS = 2
SLOW_NICENESS = 10  # a tenth of the processor beside a child that is not nice
MAX_ANSWER_BYTES = 64 * 1024 * 1024  # a hostile child must not fill the parent's memory
# Nothing of ours: whatever a picture does to the child, there is no password in it. This has glibc ask for large
# pages behind large pictures, a tenth less CPU where a photo is decoded whole, and keep 16 to 32 MiB at the end of
# its heap instead of up to 64, at no cost that could be measured; other libcs don't know it.
# OpenBLAS comes with numpy, of whose parts nobody here uses it: it shall not start a thread for every core.
ENVIRONMENT = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),  # bytes; what is larger is never kept
    "MALLOC_TRIM_THRESHOLD_": str(32 << 20),  # with so much free at the end,
    "MALLOC_TOP_PAD_": str(16 << 20),  # all but this goes back
    "OPENBLAS_NUM_THREADS": "1",
}
WORKER = ("-m", "thumbmill.thumbnailer.sandbox.worker")  # the program that runs in the child
_OPTIONS = ["-I", "-B", "-W", "ignore"]  # nothing from the environment, no files written, no words on odd metadata


class DecoderUnavailableError(Exception):
    """The decoder itself is at fault, whatever the picture; the text says how."""


class DecoderInterruptedError(Exception):
    """A child was stopped or killed by something that need not be the picture: another time it may work."""


class ChildDiedError(Exception):
    """A child died of a picture, or had to be killed."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(f"{code.value}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class Decoded:
    """What was made of an original, and the hash of its bytes."""

    image: ImageResult
    sha256: str


@dataclass(frozen=True)
class Rejected:
    """The image itself is at fault, so that another attempt cannot help."""

    code: ErrorCode
    detail: str = ""


class ChildProcess:
    """One process and the socket to it; used by one thread at a time."""

    def __init__(self, recipe: ProcessingOptions) -> None:
        self._recipe = recipe
        self._channel, theirs = socket.socketpair()
        self._channel.settimeout(LOOK_SECONDS)
        command = [sys.executable, *_OPTIONS, *WORKER, recipe.to_json()]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603
                command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env=ENVIRONMENT
            )
        self.pictures = 0  # that it was given
        try:
            answer, _ = self._receive(self._watch(START_SILENCE_SECONDS, START_PATIENCE_SECONDS))
        except (framing.HungUpError, StalledError, OSError, ValueError) as fault:
            self._kill()
            raise DecoderUnavailableError(f"does not start ({fault!r}); try: {shlex.join(command)}") from fault
        except BaseException:
            self._kill()
            raise
        if broken := answer.get("broken"):
            self._kill()
            raise DecoderUnavailableError(f"can't decode what it should: {broken}")
        self.still_root = str(answer.get("still_root", ""))  # why it has root's rights, if it has
        self.unconfined = str(answer.get("unconfined", ""))  # why it can make every system call, if it can

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def be_nice(self) -> None:
        """Give way to other processes from now on."""
        os.setpriority(os.PRIO_PROCESS, self._process.pid, SLOW_NICENESS)

    def decode(self, data: bytes, *, slow: bool = False) -> Decoded:
        """Have a picture decoded, within an ordinary picture's limits or, if ``slow``, within all.

        Raises UndecodableImageError; SlowImageError, but not if ``slow``; ChildDiedError; DecoderInterruptedError.
        After the last two, and whatever else it may raise, the child is gone.
        """
        self.pictures += 1
        try:
            watch = self._watch(self._recipe.limits.stall_seconds, PATIENCE_SECONDS)
            framing.send(self._channel, {"slow": slow}, data, look=watch.look)
            sha256 = hashlib.sha256(data).hexdigest()  # while the child is at work
            answer, parts = self._receive(watch)
            return Decoded(read_answer(answer, parts, self._recipe), sha256)
        except (UndecodableImageError, SlowImageError):
            raise
        except (framing.HungUpError, OSError) as fault:
            raise self._explain_death() from fault
        except StalledError as fault:
            self._kill()
            raise DecoderInterruptedError(str(fault)) from fault
        except ChildFaultError as fault:  # who knows what is missing in it now: it goes
            self._kill()
            raise ChildDiedError(fault.code, fault.detail) from fault
        except Exception as fault:  # whatever is wrong with its answer; the next one might be another picture's
            self._kill()
            detail = f"it answered nonsense: {replace_unprintable(repr(fault), 200)}"
            raise ChildDiedError(ErrorCode.DECODER_CRASHED, detail) from fault
        except BaseException:
            self._kill()
            raise

    def end(self) -> None:
        """Hang up, which ends the child."""
        self._channel.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()

    def _watch(self, stall_seconds: float, patience_seconds: float) -> Watch:
        return Watch(self._process.pid, stall_seconds, patience_seconds)

    def _receive(self, watch: Watch) -> tuple[framing.Header, list[bytes]]:
        return framing.receive(self._channel, MAX_ANSWER_BYTES, watch.look)

    def _kill(self) -> int:
        self._channel.close()
        self._process.kill()
        return self._process.wait()

    def _explain_death(self) -> ChildDiedError | DecoderInterruptedError:
        try:
            status = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            status = 0
        self._kill()
        match -status:
            case signal.SIGXCPU:
                return ChildDiedError(ErrorCode.DECODER_TIMEOUT, "it used up its CPU time")
            case signal.SIGKILL:  # its own memory has a limit that does not kill: the machine's has run out
                return DecoderInterruptedError("something killed it, most likely the kernel for want of memory")
            case _:
                return ChildDiedError(ErrorCode.DECODER_CRASHED, f"it ended with status {status}")
