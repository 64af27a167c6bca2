"""Decoding in child processes, so that no picture can hurt the consumer.

A child serves many pictures: a new process for each would cost more than most pictures do. One that has served its
time, or died of a picture, is replaced by a spare that stands ready.

There are two lanes. Ordinary pictures share the ordinary children. What its headers show to be slow or large, and
what has used up an ordinary picture's share, goes to further children, which give way to the others: however many
of these come, ordinary pictures go past them. See docs/decisions/012-slow-pictures.md.
"""

import queue
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from threading import BoundedSemaphore, Lock
from typing import Self, TypeVar

import structlog

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.errors import DependencyUnavailable, LaneBusy
from thumbmill.thumbnailer.imaging.model import ProcessingOptions, SlowImageError, UndecodableImageError
from thumbmill.thumbnailer.metrics import DEATHS, DECODING, INTERRUPTIONS, RETIREMENTS, SLOW
from thumbmill.thumbnailer.sandbox.process import (
    ChildDiedError,
    ChildProcess,
    Decoded,
    DecoderInterruptedError,
    DecoderUnavailableError,
    Rejected,
)

log = structlog.get_logger()

T = TypeVar("T")
Places = queue.LifoQueue[ChildProcess | None]  # of children; None: one to be had when needed

SLOW_LANE = "slow"
SLOW_WAITING = 1  # slow picture whose bytes come while others are being decoded
_RESOURCES = {ErrorCode.DECODER_TIMEOUT, ErrorCode.DECODER_OUT_OF_MEMORY}


class Decoder:
    """Some children for ordinary pictures, some for slow ones, and a spare; to be used in a ``with``.

    Threads share them. A child is replaced after ``retirement`` pictures, so that what libraries leak stays small.
    As many slow pictures may be in hand at once as there are children for them and one, which waits.
    """

    def __init__(
        self, recipe: ProcessingOptions, children: int, retirement: int = 1000, slow_children: int = 1
    ) -> None:
        self._recipe = recipe
        self._children = children
        self._retirement = retirement
        self._ordinary: Places = queue.LifoQueue()
        self._slow: Places = queue.LifoQueue()
        self._slow_children = slow_children
        self._slow_places = BoundedSemaphore(slow_children + SLOW_WAITING)
        # The kernel kills a child when the thread that started it ends, so this one starts them all.
        self._starter = ThreadPoolExecutor(1, "decoder-starter")
        self._spare: Future[ChildProcess] | None = None
        self._swapping = Lock()
        self._closed = False

    def __enter__(self) -> Self:
        """Start the ordinary children; others start with their first picture. Raises DecoderBrokenError."""
        try:
            for number in range(self._children):
                child = self._start()
                self._ordinary.put(child)
                if number == 0:
                    tell_confinement(child)
        except DecoderUnavailableError:
            self.__exit__()
            raise
        for _ in range(self._slow_children):
            self._slow.put(None)
        self._spare = self._start_later()
        return self

    def __exit__(self, *_: object) -> None:
        """End the idle children; one that is still busy is killed."""
        self._closed = True
        for places in (self._ordinary, self._slow):
            while not places.empty():
                if child := places.get():
                    child.end()
        if self._spare and not self._spare.cancel() and not self._spare.exception():
            self._spare.result().end()
        self._starter.shutdown()

    def decode(self, data: bytes, *, slow: bool = False) -> Decoded | Rejected:
        """Decode a picture; ``slow`` says that it is known to be a slow one.

        Raises LaneBusy for a slow one while there is no place for it;
        DecoderInterruptedError where something else has ended the child, DecoderBrokenError where no child starts
        any more; DependencyAway once it is closed.
        """
        if not slow:
            try:
                return self._decode(data, self._ordinary, slow=False)
            except SlowImageError as fault:
                log.info("slow_picture", cost=str(fault))
            except ChildDiedError as death:
                log.info("slow_picture", cost=str(death))
        self._take_slow_place()
        try:
            SLOW.inc()
            return self._decode(data, self._slow, slow=True)
        except ChildDiedError as death:  # its own limits are the same at every try
            return Rejected(death.code)
        finally:
            self._slow_places.release()

    def check_turn(self) -> None:
        """See whether there is a place for a slow picture, before it is read. Raises LaneBusy if not."""
        self._take_slow_place()
        self._slow_places.release()

    def _take_slow_place(self) -> None:
        if not self._slow_places.acquire(blocking=False):
            raise LaneBusy("other slow pictures are being decoded", lane=SLOW_LANE)

    def _decode(self, data: bytes, places: Places, *, slow: bool) -> Decoded | Rejected:
        """Decode in a child of a lane, a second time in a fresh one if the first crashes.

        Raises ChildDiedError for a picture that reached a limit of its lane; SlowImageError.
        """
        child = places.get()
        try:
            with DECODING.time():
                for last_try in (False, True):
                    child = self._keep_or_replace(child)
                    if slow:
                        with suppress(OSError):
                            child.be_nice()
                    try:
                        return child.decode(data, slow=slow)
                    except UndecodableImageError as fault:
                        if fault.cause:
                            log.info("picture_refused", code=fault.code.value, cause=fault.cause)
                        return Rejected(fault.code, fault.detail)
                    except ChildDiedError as death:
                        child = None
                        DEATHS.labels(death.code.value).inc()
                        log.warning("decoder_died", reason=str(death), slow=slow, last_try=last_try)
                        if death.code in _RESOURCES:
                            raise
                        if last_try:
                            return Rejected(death.code)
                    except DecoderInterruptedError as fault:
                        if self._closed:  # which is what has killed it
                            raise DependencyUnavailable("decoder", fault) from fault
                        INTERRUPTIONS.inc()
                        raise
        finally:
            places.put(child)
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
            raise DependencyUnavailable("decoder", fault) from fault


def tell_confinement(child: ChildProcess) -> None:
    """Log what a child could take from itself; all others are like it."""
    if child.unconfined:
        log.warning(
            "decoder_unconfined",
            reason=child.unconfined,
            missing="a picture that takes a decoder over could open sockets and files and start programs",
            remedy="use Linux on x86_64 or aarch64 with CONFIG_SECCOMP_FILTER; let containers call seccomp(2)",
        )
    if child.still_root:
        log.warning(
            "decoder_still_root",
            reason=child.still_root,
            remedy="run the thumbnailer as an unprivileged user, or with CAP_SETUID and CAP_SETGID",
        )
    if not child.unconfined:
        log.info("decoder_confined", refused="sockets, files, programs, other processes")
