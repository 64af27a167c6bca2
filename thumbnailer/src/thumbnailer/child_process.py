"""One child process, as its parent holds it; what runs inside is ``child_main``."""

import hashlib
import shlex
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

from pydantic import TypeAdapter

from pipeline.details import Details
from pipeline.errors import ErrorCode
from thumbnailer import frames
from thumbnailer.pictures import BadPictureError, Picture, Recipe

START_SECONDS = 20
END_SECONDS = 2
MAX_ANSWER_BYTES = 64 * 1024 * 1024  # a hostile child must not fill the parent's memory
# Nothing of ours: whatever a picture does to the child, there is no password in it. This has glibc ask for large
# pages behind large pictures, a tenth less CPU where a photo is decoded whole, and keep 16 to 32 MiB at the end of
# its heap instead of up to 64, at no cost that could be measured; other libcs don't know it.
# OpenBLAS comes with numpy, which nobody here computes with: it shall not start a thread for every core.
ENVIRONMENT = {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),  # bytes; what is larger is never kept
    "MALLOC_TRIM_THRESHOLD_": str(32 << 20),  # with so much free at the end,
    "MALLOC_TOP_PAD_": str(16 << 20),  # all but this goes back
    "OPENBLAS_NUM_THREADS": "1",
}
_OPTIONS = ["-I", "-B", "-W", "ignore"]  # nothing from the environment, no files written, no words on odd metadata

_PICTURE = TypeAdapter(Picture)  # a child that a picture has taken over may answer anything


class DecoderBrokenError(Exception):
    """The decoder itself is at fault, whatever the picture; the text says how."""


class ChildDiedError(Exception):
    """A child died of a picture, or had to be killed."""

    def __init__(self, code: ErrorCode, detail: str) -> None:
        super().__init__(f"{code.value}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class Decoded:
    """A picture, and the name of the bytes it came from."""

    picture: Picture
    sha256: str


class ChildProcess:
    """One process and the socket to it; used by one thread at a time."""

    def __init__(self, recipe: Recipe) -> None:
        self._seconds = recipe.limits.seconds
        self._channel, theirs = socket.socketpair()
        command = [sys.executable, *_OPTIONS, "-m", "thumbnailer.child_main", recipe.to_json()]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603
                command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env=ENVIRONMENT
            )
        self.pictures = 0  # that it was given
        try:
            answer, _ = self._receive(time.monotonic() + START_SECONDS)
        except (frames.HungUpError, OSError, ValueError) as fault:
            self._kill()
            raise DecoderBrokenError(f"does not start ({fault!r}); try: {shlex.join(command)}") from fault
        if broken := answer.get("broken"):
            self._kill()
            raise DecoderBrokenError(f"can't decode what it should: {broken}")
        self.unconfined = str(answer.get("unconfined", ""))  # why it can make every system call, if it can

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def decode(self, data: bytes) -> Decoded:
        """Have a picture decoded. Raises BadPictureError, ChildDiedError."""
        self.pictures += 1
        deadline = time.monotonic() + self._seconds
        try:
            self._channel.settimeout(self._seconds)
            frames.send(self._channel, {}, data)
            sha256 = hashlib.sha256(data).hexdigest()  # while the child is at work
            answer, parts = self._receive(deadline)
            return Decoded(read_answer(answer, parts), sha256)
        except TimeoutError as fault:
            death = ChildDiedError(ErrorCode.DECODER_TIMEOUT, f"no answer in {self._seconds:g} s")
            self._kill()
            raise death from fault
        except (frames.HungUpError, OSError) as fault:
            raise self._explain_death() from fault
        except (ValueError, TypeError, KeyError) as fault:
            self._kill()
            raise ChildDiedError(ErrorCode.DECODER_CRASHED, f"it answered nonsense: {fault}") from fault
        except ChildDiedError:
            self._kill()
            raise

    def end(self) -> None:
        """Hang up, which ends the child."""
        self._channel.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()

    def _receive(self, deadline: float) -> tuple[frames.Header, list[bytes]]:
        return frames.receive(self._channel, MAX_ANSWER_BYTES, deadline)

    def _kill(self) -> int:
        self._channel.close()
        self._process.kill()
        return self._process.wait()

    def _explain_death(self) -> ChildDiedError:
        try:
            status = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            status = 0
        self._kill()
        match -status:
            case signal.SIGXCPU:
                return ChildDiedError(ErrorCode.DECODER_TIMEOUT, "it used up its CPU time")
            case signal.SIGKILL:
                return ChildDiedError(ErrorCode.DECODER_OUT_OF_MEMORY, "the kernel killed it")
            case _:
                return ChildDiedError(ErrorCode.DECODER_CRASHED, f"it ended with status {status}")


def read_answer(answer: frames.Header, parts: list[bytes]) -> Picture:
    """Understand an answer. Raises what it stands for, and ValueError if it makes no sense."""
    match answer:
        case {"picture": {"renditions": renditions, **rest}}:
            pairs = zip(renditions, parts, strict=True)
            picture: Picture = _PICTURE.validate_python(
                {**rest, "renditions": [{**rendition, "data": data} for rendition, data in pairs]}
            )
            Details.model_validate(asdict(picture.details))  # or it would fail where no picture is to blame
            return picture
        case {"bad": code, "detail": detail}:
            raise BadPictureError(ErrorCode(code), str(detail))
        case {"out_of_memory": True}:  # and who knows what is missing in it now: it goes
            raise ChildDiedError(ErrorCode.DECODER_OUT_OF_MEMORY, "it reached its memory limit")
        case {"fault": text}:  # the picture led our code or a library astray: no telling in what state they are
            raise ChildDiedError(ErrorCode.DECODER_CRASHED, str(text))
        case _:
            raise ValueError(f"unknown keys {sorted(answer)}")
