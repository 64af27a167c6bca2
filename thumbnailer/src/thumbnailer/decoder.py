"""Decoding in child processes, so that no picture can hurt the consumer.

A child serves until a picture kills it: a new process for each would cost more than most pictures do.
"""

import hashlib
import json
import queue
import shlex
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Self

import structlog
from pydantic import TypeAdapter

from pipeline.errors import ErrorCode
from pipeline.outcomes import GiveUp
from thumbnailer import frames
from thumbnailer.metrics import DEATHS, DECODING
from thumbnailer.pictures import BadPictureError, Limits, Picture

log = structlog.get_logger()

START_SECONDS = 20
END_SECONDS = 2
MAX_ANSWER_BYTES = 4 * 1024 * 1024

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


class Decoder:
    """A fixed number of children, shared by all threads; to be used in a ``with``."""

    def __init__(self, limits: Limits, children: int) -> None:
        self._limits = limits
        self._children = children
        self._idle: queue.LifoQueue[_Child | None] = queue.LifoQueue()  # None: one to be started when needed
        # The kernel kills a child when the thread that started it ends, so this one starts them all.
        self._starter = ThreadPoolExecutor(1, "decoder-starter")

    def __enter__(self) -> Self:
        """Start all children. Raises DecoderBrokenError."""
        try:
            for _ in range(self._children):
                self._idle.put(self._start())
        except DecoderBrokenError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the idle children; one that is still busy is killed."""
        while not self._idle.empty():
            if child := self._idle.get():
                child.end()
        self._starter.shutdown()

    def decode(self, data: bytes) -> Decoded:
        """Decode a picture, if need be a second time in a fresh child.

        Raises GiveUp for a picture that is at fault, DecoderBrokenError.
        """
        child = self._idle.get()
        try:
            with DECODING.time():
                for last_try in (False, True):
                    if child is None or not child.is_alive:
                        child = self._start()
                    try:
                        return child.decode(data)
                    except BadPictureError as fault:
                        raise GiveUp(fault.code, fault.detail) from fault
                    except ChildDiedError as death:
                        child = None
                        DEATHS.labels(death.code.value).inc()
                        log.warning("decoder_died", reason=str(death), last_try=last_try)
                        if last_try:
                            raise GiveUp(death.code) from death
        finally:
            self._idle.put(child)
        raise AssertionError("the second try returns or raises")

    def _start(self) -> "_Child":
        return self._starter.submit(_Child, self._limits).result()


class _Child:
    """One process and the socket to it; used by one thread at a time."""

    def __init__(self, limits: Limits) -> None:
        self._seconds = limits.seconds
        self._channel, theirs = socket.socketpair()
        command = [sys.executable, "-IB", "-m", "thumbnailer.decode_child", json.dumps(asdict(limits))]
        with theirs:
            # An empty environment: whatever a picture does to the child, there is no password in it.
            self._process = subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, env={})  # noqa: S603
        try:
            self._receive(time.monotonic() + START_SECONDS)
        except (frames.HungUpError, OSError, ValueError) as fault:
            self._kill()
            raise DecoderBrokenError(f"does not start ({fault!r}); try: {shlex.join(command)}") from fault

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def decode(self, data: bytes) -> Decoded:
        """Have a picture decoded. Raises BadPictureError, ChildDiedError, DecoderBrokenError."""
        deadline = time.monotonic() + self._seconds
        try:
            self._channel.settimeout(self._seconds)
            frames.send(self._channel, {}, data)
            sha256 = hashlib.sha256(data).hexdigest()  # while the child is at work
            answer, parts = self._receive(deadline)
            return Decoded(_read_answer(answer, parts), sha256)
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


def _read_answer(answer: frames.Header, parts: list[bytes]) -> Picture:
    match answer:
        case {"picture": {"renditions": renditions, **rest}}:
            pairs = zip(renditions, parts, strict=True)
            picture: Picture = _PICTURE.validate_python(
                {**rest, "renditions": [{**rendition, "data": data} for rendition, data in pairs]}
            )
            return picture
        case {"bad": code, "detail": detail}:
            raise BadPictureError(ErrorCode(code), str(detail))
        case {"out_of_memory": True}:  # and who knows what is missing in it now: it goes
            raise ChildDiedError(ErrorCode.DECODER_OUT_OF_MEMORY, "it reached its memory limit")
        case {"fault": text}:
            raise DecoderBrokenError(str(text))
        case _:
            raise ValueError(f"unknown keys {sorted(answer)}")
