"""The places where a test can kill a process between two steps, all in one list.

Nothing happens unless ``CRASH_POINT`` names one of them; the process then dies as by ``kill -9``.
"""

import os
import signal

GATEWAY = ("after_part", "after_store", "after_request")
THUMBNAILER = (
    "after_receive",
    "after_fetch",
    "after_decode",
    "after_first_put",
    "after_put",
    "before_publish",
    "after_publish",
)
TRACKER = ("in_transaction", "after_commit", "after_announce")
OPERATOR = ("after_record", "after_redrive")
_ALL = GATEWAY + THUMBNAILER + TRACKER + OPERATOR

_armed = ""


def arm(point: str) -> None:
    """Make ``crash_at(point)`` deadly. Raises ValueError for a name that is not in the list."""
    if point and point not in _ALL:
        raise ValueError(f"CRASH_POINT: {point!r} is none of {', '.join(_ALL)}")
    global _armed  # noqa: PLW0603 - the process as a whole is armed
    _armed = point


def crash_at(point: str) -> None:
    """Die here if armed so."""
    if _armed == point:
        os.kill(os.getpid(), signal.SIGKILL)
