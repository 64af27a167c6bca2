"""Waiting between two requests for the state of something remote."""

import time


def pause(seconds: float) -> None:
    """Block the calling thread for the given time; a signal handler that raises ends the pause."""
    time.sleep(seconds)  # noqa: TID251 - the one place: every caller polls in a loop with a deadline
