"""Waiting between two checks of a condition."""

import time


def pause(seconds: float) -> None:
    """Block the calling thread for the given time."""
    time.sleep(seconds)  # noqa: TID251 - the one place: every caller checks a condition in a loop with a deadline
