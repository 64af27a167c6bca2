"""Uploads during an outage, and the check that all of them are DONE afterwards without an intervention."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx

from tests.support.dead_letter_queues import DEAD_LETTER_QUEUES
from tests.support.images import photo, red_quarter
from tests.support.system import System
from tests.support.waiting import wait_until

COUNT = 20
# From the server's return. About two seconds on an idle machine; on a busy one twenty large
# images take a minute of CPU time and get a fraction of a core. No test depends on how long it takes.
SETTLE_SECONDS = 180


def put_many(system: System, name: str, data: bytes | None = None, count: int = COUNT) -> list[str]:
    """Upload by S3; return the keys."""
    keys = [f"outage/{name}/{number:02}.jpg" for number in range(count)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: system.put(keys[n], data or photo(seed=n + 1)), range(count)))
    return keys


@contextmanager
def all_done_after(system: System) -> Iterator[list[str]]:
    """Yield a list for keys; after the block they must be DONE in time, each once, without dead letters."""
    before = [system.message_count(queue) for queue in DEAD_LETTER_QUEUES]
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
        assert not {"image.failed", "image.retrying"} & set(timeline), (
            "it cost an attempt",
            system.events(image["id"]),
        )
        assert red_quarter(system.thumbnail(image["id"])) == "left upper"
    assert [system.message_count(queue) for queue in DEAD_LETTER_QUEUES] == before


def readiness(system: System, port: str) -> dict[str, str]:
    """Return the dependencies that a service's /readyz reports as unavailable; its /livez must be fine."""
    base = f"http://127.0.0.1:{system.ports[port]}"
    assert httpx.get(f"{base}/livez", timeout=60).status_code == 200
    answer = httpx.get(f"{base}/readyz", timeout=60)
    observed = answer.json()
    assert (answer.status_code == 503) == bool(observed["unavailable"]), observed
    unavailable: dict[str, str] = observed["unavailable"] | observed.get("degraded", {})
    return unavailable


def wait_unavailable(system: System, dependency: str, *ports: str) -> None:
    """Wait until each of these services reports the dependency as unavailable."""
    for port in ports:
        wait_until(lambda port=port: dependency in readiness(system, port), 60, f"{port} to name {dependency}")
