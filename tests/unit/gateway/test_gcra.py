"""Rates of clients: the algorithm, and what a limiter charges."""

import random

import pytest

from thumbmill.core.contracts.limits import Policy
from thumbmill.gateway.access.principal import Principal
from thumbmill.gateway.limits import gcra
from thumbmill.gateway.limits.limiter import RateLimiter, RequestLimits
from thumbmill.gateway.limits.policies import limit_field, policy_field
from thumbmill.gateway.problems import Problem


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def request_of(name="ann", tenant="", **limits):
    return RequestLimits(Principal(name, key_id=name, tenant=tenant, limits=limits))


def accepts(limiter, request, policy=Policy.TICKETS, cost=1):
    try:
        limiter.charge(request, policy, cost)
    except Problem:
        return False
    return True


def accepted(limiter, times, request):
    return sum(accepts(limiter, request) for _ in range(times))


def test_a_quota_may_be_used_at_once_and_then_comes_back_at_its_rate(clock):
    limiter, request = RateLimiter({Policy.TICKETS: 60}, clock), request_of()
    assert accepted(limiter, 100, request) == 60
    clock.now += 0.5
    assert accepted(limiter, 10, request) == 0
    clock.now += 0.6
    assert accepted(limiter, 10, request) == 1


def test_an_idle_client_has_one_quota_and_no_more(clock):
    limiter, request = RateLimiter({Policy.TICKETS: 10}, clock), request_of()
    accepted(limiter, 10, request)
    clock.now += 3600
    assert accepted(limiter, 30, request) == 10


def test_n_things_cost_n(clock):
    limiter, request = RateLimiter({Policy.TICKETS: 100}, clock), request_of()
    assert accepts(limiter, request, cost=60)
    assert not accepts(limiter, request, cost=50)
    assert accepts(limiter, request, cost=40), "the rejected ones cost nothing"
    assert not accepts(limiter, request)


def test_no_sequence_of_costs_exceeds_the_quota_and_its_rate(clock):
    numbers = random.Random(5)
    for _ in range(300):
        quota, window = numbers.randint(1, 1000), numbers.choice([1, 60, 86_400])
        whole_at, now, used = 0.0, 1e6, 0
        for _ in range(50):
            now += numbers.expovariate(20 / window)
            cost = numbers.randint(1, quota)
            before = whole_at
            whole_at, balance = gcra.charge(whole_at, now, quota=quota, window=window, cost=cost)
            used += cost if balance.is_accepted else 0
            assert used <= quota * (1 + (now - 1e6) / window) * (1 + 1e-5)
            if not balance.is_accepted:
                assert whole_at == before
                after = gcra.charge(whole_at, now + balance.seconds, quota=quota, window=window, cost=cost)[1]
                assert after.is_accepted, "after the time that the response names"
                early = gcra.charge(whole_at, now + balance.seconds * 0.99, quota=quota, window=window, cost=cost)
                assert not early[1].is_accepted


def test_a_file_above_the_whole_quota_waits_for_all_of_it_and_leaves_a_debt(clock):
    limiter, request = RateLimiter({Policy.BYTES: 1000}, clock), request_of()
    assert accepts(limiter, request, Policy.BYTES, 3000)
    clock.now += 2 * 86_400
    assert not accepts(limiter, request, Policy.BYTES, 3000), "one of three days is still owed"
    assert not accepts(limiter, request, Policy.BYTES, 1)
    clock.now += 86_400
    assert accepts(limiter, request, Policy.BYTES, 3000)


def test_what_was_not_used_is_refunded_and_what_was_not_declared_is_charged(clock):
    limiter, request = RateLimiter({Policy.BYTES: 1000}, clock), request_of()
    limiter.charge(request, Policy.BYTES, 900)
    limiter.settle(request, Policy.BYTES, -800)
    assert accepts(limiter, request, Policy.BYTES, 900)
    limiter.settle(request, Policy.BYTES, 500)
    clock.now += 0.4 * 86_400
    assert not accepts(limiter, request, Policy.BYTES, 1)
    clock.now += 0.2 * 86_400
    assert accepts(limiter, request, Policy.BYTES, 1)


def test_clients_and_policies_have_limits_of_their_own(clock):
    limiter = RateLimiter({Policy.TICKETS: 2, Policy.REQUESTS: 2}, clock)
    assert accepted(limiter, 5, request_of("greedy")) == 2
    assert accepted(limiter, 5, request_of("greedy", tenant="acme")) == 2, "the same name of another tenant"
    assert accepts(limiter, request_of("greedy"), Policy.REQUESTS)
    assert accepts(limiter, request_of("modest"))


def test_zero_is_no_limit_and_the_limits_of_a_key_win(clock):
    limiter = RateLimiter({Policy.TICKETS: 0, Policy.REQUESTS: 3}, clock)
    assert accepted(limiter, 10_000, request_of()) == 10_000
    assert accepted(limiter, 10, request_of("kept", tickets=4)) == 4
    free = request_of("free", requests=0)
    assert all(accepts(limiter, free, Policy.REQUESTS) for _ in range(100))
    assert free.balances == {}


def test_the_fields_name_policies_units_and_times(clock):
    limiter, request = RateLimiter({Policy.TICKETS: 6, Policy.BYTES: 10**6}, clock), request_of()
    limiter.charge(request, Policy.TICKETS, 2)
    limiter.charge(request, Policy.BYTES, 10**5)
    assert policy_field(request.balances.items()) == (
        '"tickets";q=6;w=60;thumbmill-per="gateway", '
        '"bytes";q=1000000;qu="content-bytes";w=86400;thumbmill-per="gateway"'
    )
    assert limit_field(request.balances.items()) == '"tickets";r=4;t=10, "bytes";r=900000;t=1'


def test_a_rejection_names_the_violated_policy_and_no_earlier_time_than_its_fields(clock):
    limiter, request = RateLimiter({Policy.TICKETS: 6, Policy.REQUESTS: 1}, clock), request_of()
    limiter.charge(request, Policy.REQUESTS)
    limiter.charge(request, Policy.TICKETS, 6)
    clock.now += 0.5
    with pytest.raises(Problem) as raised:
        limiter.charge(request, Policy.TICKETS)
    problem = raised.value
    assert problem.status == 429
    assert problem.body()["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert problem.body()["code"] == "rate_limited"
    assert problem.body()["violated-policies"] == ["tickets"]
    assert problem.headers["Retry-After"] == "10"
    assert request.violated is Policy.TICKETS
    assert limit_field([(Policy.TICKETS, request.balances[Policy.TICKETS])]) == '"tickets";r=0;t=10'
