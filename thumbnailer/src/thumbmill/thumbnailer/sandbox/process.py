"""The parent's side of one child process; ``sandbox.worker`` is the program that runs in it."""

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
from thumbmill.thumbnailer.sandbox.responses import ChildError, parse_response
from thumbmill.thumbnailer.sandbox.stall_detector import CHECK_SECONDS, StallDetector, StalledError

# A start may take as long as it makes progress, as decoding may. It takes 0.1 s of CPU time and reads a hundred
# files, which may take long from a cold disk.
START_STALL_SECONDS = 60
START_DEADLINE_SECONDS = 600
# Below RabbitMQ's own limit for an unacknowledged message, which is half an hour. On a machine where an image gets
# a hundredth of a core it may take that long; then its message is delayed, as after any transient error.
DEADLINE_SECONDS = 900
END_SECONDS = 2
SLOW_NICENESS = 10  # a tenth of the processor next to a child of normal priority
MAX_RESPONSE_BYTES = 64 * 1024 * 1024  # a hostile child must not fill the parent's memory
# The child inherits no variable, so whatever an image does to it, it has no password. These have glibc use huge
# pages for large images (a tenth less CPU where a photo is decoded whole) and keep 16 to 32 MiB at the end of its
# heap instead of up to 64, at no cost that could be measured; other libcs ignore them. OpenBLAS comes with numpy
# and is not used: it must not start a thread for every core.
ENVIRONMENT = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),  # bytes; larger blocks are always returned
    "MALLOC_TRIM_THRESHOLD_": str(32 << 20),  # with this much free at the end,
    "MALLOC_TOP_PAD_": str(16 << 20),  # all but this is returned
    "OPENBLAS_NUM_THREADS": "1",
}
WORKER = ("-m", "thumbmill.thumbnailer.sandbox.worker")  # the program that runs in the child
# Ignore Python's environment variables, write no files, print no warnings about odd metadata.
_OPTIONS = ["-I", "-B", "-W", "ignore"]


class DecoderUnavailableError(Exception):
    """No child starts or passes its self-test; the text gives the reason."""


class DecoderInterruptedError(Exception):
    """A child stalled or was killed, and its image need not be the cause: another attempt may succeed."""


class ChildDiedError(Exception):
    """An image ended its child, or the child had to be killed because of it."""

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

    def __init__(self, options: ProcessingOptions) -> None:
        self._options = options
        self._channel, child_channel = socket.socketpair()
        self._channel.settimeout(CHECK_SECONDS)
        command = [sys.executable, *_OPTIONS, *WORKER, options.to_json()]
        with child_channel:
            self._process = subprocess.Popen(  # noqa: S603
                command, stdin=child_channel.fileno(), stdout=subprocess.DEVNULL, env=ENVIRONMENT
            )
        self.images = 0  # received so far
        try:
            response, _ = self._receive(self._stall_detector(START_STALL_SECONDS, START_DEADLINE_SECONDS))
        except (framing.ConnectionClosedError, StalledError, OSError, ValueError) as error:
            self._kill()
            raise DecoderUnavailableError(f"does not start ({error!r}); try: {shlex.join(command)}") from error
        except BaseException:
            self._kill()
            raise
        if failure := response.get("failed_start"):
            self._kill()
            raise DecoderUnavailableError(f"fails its self-test: {failure}")
        self.still_root = str(response.get("still_root", ""))  # the reason why it still has root's rights; or empty
        self.unconfined = str(response.get("unconfined", ""))  # the reason why it is not confined; or empty

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def lower_priority(self) -> None:
        """Give other processes precedence from now on."""
        os.setpriority(os.PRIO_PROCESS, self._process.pid, SLOW_NICENESS)

    def decode(self, data: bytes, *, slow: bool = False) -> Decoded:
        """Have an image decoded, within an ordinary image's limits or, if ``slow``, within those of the slow lane.

        Raise UndecodableImageError; SlowImageError unless ``slow``; ChildDiedError; DecoderInterruptedError. After
        the last two, and any other exception, the child has ended.
        """
        self.images += 1
        try:
            detector = self._stall_detector(self._options.limits.stall_seconds, DEADLINE_SECONDS)
            framing.send(self._channel, {"slow": slow}, data, check=detector.check)
            sha256 = hashlib.sha256(data).hexdigest()  # while the child works
            response, parts = self._receive(detector)
            return Decoded(parse_response(response, parts, self._options), sha256)
        except (UndecodableImageError, SlowImageError):
            raise
        except (framing.ConnectionClosedError, OSError) as error:
            raise self._exit_error() from error
        except StalledError as error:
            self._kill()
            raise DecoderInterruptedError(str(error)) from error
        except ChildError as error:  # its state is unknown now, so it is not used again
            self._kill()
            raise ChildDiedError(error.code, error.detail) from error
        except Exception as error:  # an invalid response; the next one could belong to another image
            self._kill()
            detail = f"its response is invalid: {replace_unprintable(repr(error), 200)}"
            raise ChildDiedError(ErrorCode.DECODER_CRASHED, detail) from error
        except BaseException:
            self._kill()
            raise

    def end(self) -> None:
        """Close the channel, which ends the child."""
        self._channel.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()

    def _stall_detector(self, stall_seconds: float, deadline_seconds: float) -> StallDetector:
        return StallDetector(self._process.pid, stall_seconds, deadline_seconds)

    def _receive(self, detector: StallDetector) -> tuple[framing.Header, list[bytes]]:
        return framing.receive(self._channel, MAX_RESPONSE_BYTES, detector.check)

    def _kill(self) -> int:
        self._channel.close()
        self._process.kill()
        return self._process.wait()

    def _exit_error(self) -> ChildDiedError | DecoderInterruptedError:
        try:
            status = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            status = 0
        self._kill()
        match -status:
            case signal.SIGXCPU:
                return ChildDiedError(ErrorCode.DECODER_TIMEOUT, "it reached its limit of CPU time")
            case signal.SIGKILL:  # its own memory limit does not kill: the machine has run out of memory
                return DecoderInterruptedError("it was killed, most likely by the kernel for lack of memory")
            case _:
                return ChildDiedError(ErrorCode.DECODER_CRASHED, f"it ended with status {status}")
