"""Decoding in child processes, so that no picture can hurt the consumer.

A child serves many pictures: a new process for each would cost more than most pictures do. One that has served its
time, or died of a picture, is replaced by a spare that stands ready.
"""

import queue
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Self, TypeVar

import structlog

from pipeline.outcomes import DependencyAway, GiveUp
from thumbnailer.child_process import ChildDiedError, ChildProcess, Decoded, DecoderBrokenError
from thumbnailer.metrics import DEATHS, DECODING, RETIREMENTS
from thumbnailer.pictures import BadPictureError, Recipe

log = structlog.get_logger()

T = TypeVar("T")


class Decoder:
    """A fixed number of children and a spare, shared by all threads; to be used in a ``with``.

    A child is replaced after ``retirement`` pictures, so that what libraries leak stays small.
    """

    def __init__(self, recipe: Recipe, children: int, retirement: int = 1000) -> None:
        self._recipe = recipe
        self._children = children
        self._retirement = retirement
        self._idle: queue.LifoQueue[ChildProcess | None] = queue.LifoQueue()  # None: one to be had when needed
        # The kernel kills a child when the thread that started it ends, so this one starts them all.
        self._starter = ThreadPoolExecutor(1, "decoder-starter")
        self._spare: Future[ChildProcess] | None = None
        self._swapping = Lock()

    def __enter__(self) -> Self:
        """Start all children. Raises DecoderBrokenError."""
        try:
            for number in range(self._children):
                child = self._start()
                self._idle.put(child)
                if number == 0:
                    tell_confinement(child)
        except DecoderBrokenError:
            self.__exit__()
            raise
        self._spare = self._start_later()
        return self

    def __exit__(self, *_: object) -> None:
        """End the idle children; one that is still busy is killed."""
        while not self._idle.empty():
            if child := self._idle.get():
                child.end()
        if self._spare and not self._spare.cancel() and not self._spare.exception():
            self._spare.result().end()
        self._starter.shutdown()

    def decode(self, data: bytes) -> Decoded:
        """Decode a picture, if need be a second time in a fresh child.

        Raises GiveUp for a picture that is at fault, DecoderBrokenError where no child starts any more,
        DependencyAway once it is closed.
        """
        child = self._idle.get()
        try:
            with DECODING.time():
                for last_try in (False, True):
                    child = self._keep_or_replace(child)
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

    def _keep_or_replace(self, child: ChildProcess | None) -> ChildProcess:
        if child and child.is_alive:
            if child.pictures < self._retirement:
                return child
            RETIREMENTS.inc()
        if child:
            self._submit(child.end)
        return self._take_spare() or self._start()

    def _take_spare(self) -> ChildProcess | None:
        """Take the child that stands ready, and have the next one started; None if it has died since.

        A start takes 90 ms, nearly all of it Python's imports; a picture that kills should not cost its neighbours
        that much.
        """
        with self._swapping:
            spare, self._spare = self._spare, self._start_later()
        if not spare or spare.exception():  # it may have tried hours ago
            return None
        child = spare.result()
        if child.is_alive:
            return child
        child.end()
        return None

    def _start(self) -> ChildProcess:
        return self._start_later().result()

    def _start_later(self) -> Future[ChildProcess]:
        return self._submit(ChildProcess, self._recipe)

    def _submit(self, action: Callable[..., T], *arguments: object) -> Future[T]:
        try:
            return self._starter.submit(action, *arguments)
        except RuntimeError as fault:  # closed under a thread that is busy for longer than its grace
            raise DependencyAway("decoder", fault) from fault


def tell_confinement(child: ChildProcess) -> None:
    """Log what a child could take from itself; all others are like it."""
    if child.unconfined:
        log.warning(
            "decoder_unconfined",
            reason=child.unconfined,
            missing="a picture that takes a decoder over could open sockets and files and start programs",
            remedy="use Linux on x86_64 or aarch64 with CONFIG_SECCOMP_FILTER; let containers call seccomp(2)",
        )
    else:
        log.info("decoder_confined", refused="sockets, files, programs, other processes")
