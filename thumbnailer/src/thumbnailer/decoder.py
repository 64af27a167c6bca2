"""Decoding in child processes, so that no picture can hurt the consumer.

A child serves until a picture kills it: a new process for each would cost more than most pictures do.
"""

import queue
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import structlog

from pipeline.outcomes import GiveUp
from thumbnailer.child_process import ChildDiedError, ChildProcess, Decoded, DecoderBrokenError
from thumbnailer.metrics import DEATHS, DECODING
from thumbnailer.pictures import BadPictureError, Recipe

log = structlog.get_logger()


class Decoder:
    """A fixed number of children, shared by all threads; to be used in a ``with``."""

    def __init__(self, recipe: Recipe, children: int) -> None:
        self._recipe = recipe
        self._children = children
        self._idle: queue.LifoQueue[ChildProcess | None] = queue.LifoQueue()  # None: one to be started when needed
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
                    child = child if child and child.is_alive else self._replace(child)
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

    def _replace(self, dead: ChildProcess | None) -> ChildProcess:
        if dead:
            dead.end()
        return self._start()

    def _start(self) -> ChildProcess:
        return self._starter.submit(ChildProcess, self._recipe).result()
