"""The minimum rate of a body, on a clock that moves only while a task waits."""

import asyncio
import selectors

import pytest

from thumbmill.gateway.http.body_rate import BodyRateLimits, BodyRateMonitor
from thumbmill.gateway.problems import Problem

WINDOW = BodyRateLimits(bytes_per_second=1000, deadline_seconds=900, window_seconds=30)


class InstantSelector(selectors.DefaultSelector):
    """Advances the clock of the event loop instead of waiting."""

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


async def read(limits, pieces, *, interval, pause=0.0):
    """Read pieces that arrive at an interval, with a pause after each; return the time and the outcome."""
    monitor = BodyRateMonitor(limits)
    loop = asyncio.get_running_loop()
    arrives_at = 0.0

    async def receive():
        await asyncio.sleep(arrives_at - loop.time())
        return {"type": "http.request", "body": b"x" * pieces.pop(0), "more_body": True}

    try:
        while pieces:
            arrives_at = loop.time() + interval
            await monitor.receive(receive)
            await asyncio.sleep(pause)
    except Problem as problem:
        return loop.time(), f"{problem.code.value}: {problem.detail}"
    return loop.time(), "complete"


@pytest.mark.parametrize(
    ("pieces", "interval", "pause", "expected"),
    [
        ([1] * 100, 15, 0, (30, "upload_stalled: less than 30000 bytes arrived within 30 s")),
        ([10_000] * 99, 9, 0, (891, "complete")),
        ([10_000] * 100, 11, 0, (30, "upload_stalled: less than 30000 bytes arrived within 30 s")),
        ([1_000_000, 1], 25, 0, (50, "complete")),  # a phone that changes its cell
        ([1] * 3, 40, 0, (30, "upload_stalled: less than 30000 bytes arrived within 30 s")),
        ([10_000] * 200, 9, 0, (900, "upload_stalled: the limit for a request body is 900 s")),
        ([10_000] * 3, 9, 1000, (3027, "complete")),  # the time of the object store does not count
    ],
    ids=["very slow", "just fast enough", "just too slow", "a pause", "silent", "endless", "a slow store"],
)
def test_how_long_a_body_may_take(pieces, interval, pause, expected):
    assert run(read(WINDOW, pieces, interval=interval, pause=pause)) == expected


def test_without_a_minimum_rate_only_the_deadline_counts():
    limits = BodyRateLimits(bytes_per_second=0, deadline_seconds=900)
    assert run(read(limits, [1] * 100, interval=15)) == (
        900,
        "upload_stalled: the limit for a request body is 900 s",
    )


def test_the_shortfall_grows_while_nothing_arrives_and_eviction_ends_the_wait():
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
