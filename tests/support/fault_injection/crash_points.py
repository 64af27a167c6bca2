"""The named points at which a service can be killed or frozen: before or after one of its functions."""

import functools
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tests.support.fault_injection.patch import Patch

Strike = Callable[[], None]

_HANDLER = "thumbmill.thumbnailer.handler:Thumbnailer"
_TRACKER = "thumbmill.tracker.handler:Tracker"
_STORAGE = "thumbmill.core.object_store.store:Storage"
_PUBLISHER = "thumbmill.core.messaging.publisher:Publisher"


@dataclass(frozen=True)
class CrashPoint:
    """A moment in the life of a service."""

    when: Literal["before", "after"]
    place: str
    applies: Callable[..., bool] = lambda *_, **__: True  # to the function's arguments

    def patch(self, strike: Strike) -> Patch:
        """Return the patch that calls ``strike`` at this point, each time the process reaches it."""

        def make(function: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(function)
            def replacement(*args: Any, **kwargs: Any) -> Any:
                is_meant = self.applies(*args, **kwargs)
                if is_meant and self.when == "before":
                    strike()
                result = function(*args, **kwargs)
                if is_meant and self.when == "after":
                    strike()
                return result

            return replacement

        return Patch(self.place, make)


GATEWAY = {
    "after_part": CrashPoint("after", f"{_STORAGE}.upload_part"),
    "after_store": CrashPoint("after", f"{_STORAGE}.put"),
    "after_request": CrashPoint("after", f"{_PUBLISHER}.publish_event"),
}
THUMBNAILER = {
    "after_receive": CrashPoint("before", f"{_HANDLER}.handle"),
    "after_fetch": CrashPoint("after", f"{_HANDLER}._fetch"),
    "after_decode": CrashPoint("after", "thumbmill.thumbnailer.sandbox.pool:Decoder.decode"),
    "after_first_put": CrashPoint("after", "thumbmill.thumbnailer.variants:VariantStore._put"),
    "after_put": CrashPoint("after", f"{_HANDLER}._render"),
    "before_publish": CrashPoint("after", f"{_HANDLER}._is_current"),
    "after_publish": CrashPoint("after", f"{_HANDLER}._process_object"),
}
TRACKER = {
    "in_transaction": CrashPoint("after", f"{_TRACKER}._apply"),
    # A watermark alone, once a second, is recorded without any event.
    "after_commit": CrashPoint("after", f"{_TRACKER}.record", lambda _, events, *__: bool(events)),
    "after_announce": CrashPoint("after", "thumbmill.tracker.reconciliation.repair:republish"),
}
OPERATOR = {
    "after_record": CrashPoint("after", f"{_PUBLISHER}.publish_event"),
    "after_redrive": CrashPoint("before", "thumbmill.core.messaging.dead_letters:DeadLetterReader.remove"),
}
CRASH_POINTS = GATEWAY | THUMBNAILER | TRACKER | OPERATOR


def crash_at(point: str) -> Patch:
    """Return the patch with which the process kills itself at a crash point."""
    return CRASH_POINTS[point].patch(lambda: os.kill(os.getpid(), signal.SIGKILL))


def freeze_at(point: str) -> Patch:
    """Return the patch with which the process stops itself at a crash point, once; SIGCONT resumes it."""
    left = [point]

    def stop() -> None:
        if left:
            left.pop()
            # Sent to the process, another thread would take it, and this one would go on for a moment.
            signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)

    return CRASH_POINTS[point].patch(stop)
