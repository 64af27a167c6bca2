"""Decodes in child processes, so that no image can harm the consumer.

A child serves many images: a new process for each would cost more than most images do. A child that has served its
share of images, or that an image has ended, is replaced by a spare that is already running.

There are two lanes. Ordinary images share the ordinary children. An image whose headers show it to be slow or
large, or that has used up an ordinary image's limits, goes to the slow lane. Its children run at a lower priority,
so that slow images never delay ordinary ones, however many arrive. See docs/decisions/012-slow-pictures.md.
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
from thumbmill.thumbnailer.metrics import DECODE_SECONDS, DECODER_DEATHS, INTERRUPTIONS, RETIREMENTS, SLOW_IMAGES
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
Slots = queue.LifoQueue[ChildProcess | None]  # one for each child; None: it starts when the slot is taken

SLOW_LANE = "slow"
WAITING_SLOW_IMAGES = 1  # a slow image that is downloaded while others are being decoded
_RESOURCE_LIMITS = {ErrorCode.DECODER_TIMEOUT, ErrorCode.DECODER_OUT_OF_MEMORY}


class Decoder:
    """A pool of ordinary children, slow children and a spare, used as a context manager and shared by threads.

    A child is replaced after ``retirement`` images, so that leaks of libraries stay small. The pool accepts one
    slow image more than it has slow children; that one waits.
    """

    def __init__(
        self, options: ProcessingOptions, children: int, retirement: int = 1000, slow_children: int = 1
    ) -> None:
        self._options = options
        self._children = children
        self._retirement = retirement
        self._ordinary: Slots = queue.LifoQueue()
        self._slow: Slots = queue.LifoQueue()
        self._slow_children = slow_children
        self._slow_slots = BoundedSemaphore(slow_children + WAITING_SLOW_IMAGES)
        # The kernel kills a child when the thread that started it ends, so one thread starts them all.
        self._starter = ThreadPoolExecutor(1, "decoder-starter")
        self._spare: Future[ChildProcess] | None = None
        self._spare_lock = Lock()
        self._closed = False

    def __enter__(self) -> Self:
        """Start the ordinary children; others start with their first image. Raise DecoderUnavailableError."""
        try:
            for number in range(self._children):
                child = self._start()
                self._ordinary.put(child)
                if number == 0:
                    log_sandbox_status(child)
        except DecoderUnavailableError:
            self.__exit__()
            raise
        for _ in range(self._slow_children):
            self._slow.put(None)
        self._spare = self._start_later()
        return self

    def __exit__(self, *_: object) -> None:
        """End the idle children and kill the busy ones."""
        self._closed = True
        for slots in (self._ordinary, self._slow):
            while not slots.empty():
                if child := slots.get():
                    child.end()
        if self._spare and not self._spare.cancel() and not self._spare.exception():
            self._spare.result().end()
        self._starter.shutdown()

    def decode(self, data: bytes, *, slow: bool = False) -> Decoded | Rejected:
        """Decode an image, in the slow lane if it is known to be ``slow`` or turns out to be.

        Raise LaneBusy if the slow lane is full; DecoderInterruptedError if something other than the image ended the
        child; DecoderUnavailableError if no child starts any more; DependencyUnavailable after ``__exit__``.
        """
        if not slow:
            try:
                return self._decode(data, self._ordinary, slow=False)
            except SlowImageError as error:
                log.info("slow_image", cost=str(error))
            except ChildDiedError as error:
                log.info("slow_image", cost=str(error))
        self._take_slow_slot()
        try:
            SLOW_IMAGES.inc()
            return self._decode(data, self._slow, slow=True)
        except ChildDiedError as error:  # another attempt would reach the same limits
            return Rejected(error.code)
        finally:
            self._slow_slots.release()

    def check_slow_slot(self) -> None:
        """Raise LaneBusy if the slow lane is full; called before a slow image is downloaded."""
        self._take_slow_slot()
        self._slow_slots.release()

    def _take_slow_slot(self) -> None:
        if not self._slow_slots.acquire(blocking=False):
            raise LaneBusy("other slow images are being decoded", lane=SLOW_LANE)

    def _decode(self, data: bytes, slots: Slots, *, slow: bool) -> Decoded | Rejected:
        """Decode in a child of a lane, and once more in a fresh child if the first crashes.

        Raise ChildDiedError for an image that reached a limit of its lane; SlowImageError.
        """
        child = slots.get()
        try:
            with DECODE_SECONDS.time():
                for last_try in (False, True):
                    child = self._keep_or_replace(child)
                    if slow:
                        with suppress(OSError):
                            child.lower_priority()
                    try:
                        return child.decode(data, slow=slow)
                    except UndecodableImageError as error:
                        if error.cause:
                            log.info("image_rejected", code=error.code.value, cause=error.cause)
                        return Rejected(error.code, error.detail)
                    except ChildDiedError as error:
                        child = None
                        DECODER_DEATHS.labels(error.code.value).inc()
                        log.warning("decoder_died", reason=str(error), slow=slow, last_try=last_try)
                        if error.code in _RESOURCE_LIMITS:
                            raise
                        if last_try:
                            return Rejected(error.code)
                    except DecoderInterruptedError as error:
                        if self._closed:  # __exit__ has killed it
                            raise DependencyUnavailable("decoder", error) from error
                        INTERRUPTIONS.inc()
                        raise
        finally:
            slots.put(child)
        raise AssertionError("the second try returns or raises")

    def _keep_or_replace(self, child: ChildProcess | None) -> ChildProcess:
        if child and child.is_alive:
            if child.images < self._retirement:
                return child
            RETIREMENTS.inc()
        if child:
            self._submit(child.end)
        return self._take_spare() or self._start()

    def _take_spare(self) -> ChildProcess | None:
        """Take the spare child and start the next spare; return None if the spare has died meanwhile.

        A start takes 90 ms, nearly all of it for Python's imports. An image that kills its child must not cost the
        images behind it that much.
        """
        with self._spare_lock:
            spare, self._spare = self._spare, self._start_later()
        if not spare or spare.exception():  # it may have failed to start hours ago: try again
            return None
        child = spare.result()
        if child.is_alive:
            return child
        child.end()
        return None

    def _start(self) -> ChildProcess:
        return self._start_later().result()

    def _start_later(self) -> Future[ChildProcess]:
        return self._submit(ChildProcess, self._options)

    def _submit(self, action: Callable[..., T], *arguments: object) -> Future[T]:
        try:
            return self._starter.submit(action, *arguments)
        except RuntimeError as error:  # closed while a thread was busy for longer than its grace period
            raise DependencyUnavailable("decoder", error) from error


def log_sandbox_status(child: ChildProcess) -> None:
    """Log which restrictions a child has; all others have the same."""
    if child.unconfined:
        log.warning(
            "decoder_unconfined",
            reason=child.unconfined,
            missing="an image that takes a decoder over could open sockets and files and start programs",
            remedy="use Linux on x86_64 or aarch64 with CONFIG_SECCOMP_FILTER; let containers call seccomp(2)",
        )
    if child.still_root:
        log.warning(
            "decoder_still_root",
            reason=child.still_root,
            remedy="run the thumbnailer as an unprivileged user, or with CAP_SETUID and CAP_SETGID",
        )
    if not child.unconfined:
        log.info("decoder_confined", denied="sockets, files, programs, other processes")
