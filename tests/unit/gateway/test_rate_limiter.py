import pytest

from thumbmill.gateway.http.rate_limiter import RateLimiter


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def acquire(limiter, times, client=""):
    return [limiter.acquire(client) for _ in range(times)]


def test_a_burst_of_one_minute_and_then_the_rate(clock):
    limiter = RateLimiter(60, clock)
    assert not any(acquire(limiter, 60))
    assert limiter.acquire("") == pytest.approx(1)
    clock.now += 0.5
    assert limiter.acquire("") == pytest.approx(0.5)
    clock.now += 0.6
    assert limiter.acquire("") == 0
    assert limiter.acquire("") > 0


def test_an_idle_client_has_one_burst_and_no_more(clock):
    limiter = RateLimiter(10, clock)
    acquire(limiter, 10)
    clock.now += 3600
    assert [bool(wait) for wait in acquire(limiter, 11)] == [False] * 10 + [True]


def test_clients_have_separate_limits(clock):
    limiter = RateLimiter(2, clock)
    acquire(limiter, 5, "greedy")
    assert limiter.acquire("modest") == 0


def test_zero_means_no_limit(clock):
    assert not any(acquire(RateLimiter(0, clock), 10_000))
