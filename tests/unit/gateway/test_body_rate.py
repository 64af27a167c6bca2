"""How fast a body must come: judged by a clock that only moves while somebody waits."""

import asyncio
import selectors

import pytest

from thumbmill.gateway.http.body_rate import BodyRateLimits, BodyRateMonitor
from thumbmill.gateway.problems import Problem

WINDOW = BodyRateLimits(bytes_per_second=1000, deadline_seconds=900, window_seconds=30)


class InstantSelector(selectors.DefaultSelector):
    """Waits for no time: it moves the loop's clock instead."""

    def __init__(self):
        super().__init__()
        self.now = 0.0

    def select(self, timeout=None):
        self.now += timeout or 0
        return super().select(0)


def run(scenario):
    selector = InstantSelector()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(scenario)


async def read(limits, pieces, *, every, ours=0.0):
    """Read pieces that come every so many seconds, and need so many of our own; give the time of the answer."""
    monitor = BodyRateMonitor(limits)
    loop = asyncio.get_running_loop()
    comes_at = 0.0

    async def receive():
        await asyncio.sleep(comes_at - loop.time())
        return {"type": "http.request", "body": b"x" * pieces.pop(0), "more_body": True}

    try:
        while pieces:
            comes_at = loop.time() + every
            await monitor.receive(receive)
            await asyncio.sleep(ours)
    except Problem as problem:
        return loop.time(), f"{problem.code.value}: {problem.detail}"
    return loop.time(), "complete"


@pytest.mark.parametrize(
    ("pieces", "every", "ours", "expected"),
    [
        ([1] * 100, 15, 0, (30, "upload_stalled: less than 30000 bytes arrived within 30 s")),
        ([10_000] * 99, 9, 0, (891, "complete")),
        ([10_000] * 100, 11, 0, (30, "upload_stalled: less than 30000 bytes arrived within 30 s")),
        ([1_000_000, 1], 25, 0, (50, "complete")),  # a phone between two cells
        ([1] * 3, 40, 0, (30, "upload_stalled: less than 30000 bytes arrived within 30 s")),
        ([10_000] * 200, 9, 0, (900, "upload_stalled: the limit for a request body is 900 s")),
        ([10_000] * 3, 9, 1000, (3027, "complete")),  # what the store takes is not the client's
    ],
    ids=["a trickle", "just fast enough", "just too slow", "a pause", "silence", "without end", "a slow store"],
)
def test_how_long_a_body_is_waited_for(pieces, every, ours, expected):
    assert run(read(WINDOW, pieces, every=every, ours=ours)) == expected


def test_no_least_rate():
    limits = BodyRateLimits(bytes_per_second=0, deadline_seconds=900)
    assert run(read(limits, [1] * 100, every=15)) == (900, "upload_stalled: the limit for a request body is 900 s")


def test_slowness_shows_while_nothing_comes_and_giving_way_ends_the_wait():
    async def scenario():
        monitor = BodyRateMonitor(WINDOW)
        assert monitor.shortfall == 0
        waiting = asyncio.create_task(monitor.receive(asyncio.Event().wait))
        await asyncio.sleep(2)
        assert monitor.shortfall == 0  # too early to tell
        await asyncio.sleep(8)
        assert monitor.shortfall == pytest.approx(10_000)
        monitor.evict()
        with pytest.raises(Problem):
            await waiting
        return asyncio.get_running_loop().time()

    assert run(scenario()) == pytest.approx(10)
