import pytest

from thumbmill.gateway.http.token_bucket import RateLimiter


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def take(rate, times, client=""):
    return [rate.take(client) for _ in range(times)]


def test_a_minutes_worth_at_once_and_then_as_they_come(clock):
    rate = RateLimiter(60, clock)
    assert not any(take(rate, 60))
    assert rate.take("") == pytest.approx(1)
    clock.now += 0.5
    assert rate.take("") == pytest.approx(0.5)
    clock.now += 0.6
    assert rate.take("") == 0
    assert rate.take("") > 0


def test_who_was_quiet_has_a_minutes_worth_and_no_more(clock):
    rate = RateLimiter(10, clock)
    take(rate, 10)
    clock.now += 3600
    assert [bool(wait) for wait in take(rate, 11)] == [False] * 10 + [True]


def test_one_client_takes_nothing_from_another(clock):
    rate = RateLimiter(2, clock)
    take(rate, 5, "greedy")
    assert rate.take("modest") == 0


def test_none_is_no_limit(clock):
    assert not any(take(RateLimiter(0, clock), 10_000))
