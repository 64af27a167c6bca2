"""What every outage ends in: all that was uploaded is DONE, and nobody touched anything."""

from collections.abc import Iterator
from contextlib import contextmanager

from support.pictures import red_quarter
from support.system import System
from support.waiting import wait_until

SETTLE_SECONDS = 30  # from the server's return
DEAD = ("image_queue.dead", "status_tracker.dead", "unrouted")


@contextmanager
def all_done_after(system: System) -> Iterator[list[str]]:
    """Give a list for keys; when the block is over they are DONE in time, each once, and nothing was given up."""
    before = [system.queue_length(queue) for queue in DEAD]
    keys: list[str] = []
    yield keys
    left = set(keys)

    def finished() -> bool:
        left.difference_update([key for key in left if (system.image_of(key) or {}).get("status") == "DONE"])
        return not left

    wait_until(finished, SETTLE_SECONDS, f"{len(keys)} images to be DONE")
    for key in keys:
        image = system.image_of(key)
        timeline = system.timeline(image["id"])
        assert timeline.count("image.done") == 1, timeline
        assert not {"image.failed", "image.retrying"} & set(timeline), "an outage costs no attempt"
        assert red_quarter(system.thumbnail(image["id"])) == "left upper"
    assert [system.queue_length(queue) for queue in DEAD] == before
