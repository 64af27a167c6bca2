"""How clients share places."""

import pytest

from thumbmill.core.contracts.limits import Policy
from thumbmill.gateway.access.principal import ANONYMOUS, Principal
from thumbmill.gateway.limits.limiter import RateLimiter, RequestLimits
from thumbmill.gateway.limits.places import Places, may_take
from thumbmill.gateway.problems import Problem


def client(name, **limits):
    return Principal(name, key_id=name, limits=limits)


def flood(places, who):
    """Take places until there is none for this client, and return how many it holds."""
    while places.are_free_for(who):
        places.take(who)
    return places.held_by(who)


@pytest.mark.parametrize(("total", "most"), [(1, 1), (2, 1), (4, 3), (8, 7), (32, 28), (1000, 888)])
def test_a_client_that_floods_leaves_places_free(total, most):
    assert flood(Places(total), client("a flood")) == most


def test_every_further_client_gets_a_place_beside_floods():
    places = Places(32)
    held = [flood(places, client(name)) for name in ("first", "second", "third")]
    assert held == [28, 3, 1]
    places = Places(1000)
    floods = [client(f"flood {number}") for number in range(10)]
    for _ in range(1000):  # they compete for each place
        for one in floods:
            if places.are_free_for(one):
                places.take(one)
    held = [places.held_by(one) for one in floods]
    assert max(held) - min(held) <= 1, "floods share equally"
    assert places.total - places.used >= 10
    assert places.are_free_for(client("a photo"))


def test_the_places_of_a_flood_become_those_of_others_as_they_are_freed():
    places, greedy, modest = Places(32), client("greedy"), client("modest")
    flood(places, greedy)
    for _ in range(100):  # each upload ends, and both try at once to begin the next one
        places.free(greedy)
        for one in (greedy, modest):
            if places.are_free_for(one):
                places.take(one)
    assert abs(places.held_by(greedy) - places.held_by(modest)) <= 2


def test_without_keys_the_one_client_may_have_all_places():
    assert flood(Places(32), ANONYMOUS) == 32


def test_a_freed_place_is_counted_once():
    places, who = Places(3), client("a client")
    places.take(who)
    places.free(who)
    assert (places.used, places.held_by(who)) == (0, 0)
    assert not may_take(0, 0)
    assert may_take(0, 1)
    assert not may_take(1, 1)
    assert may_take(7, 2)
    assert not may_take(8, 2)


def test_a_key_may_have_a_lower_limit_of_its_own():
    limiter, places = RateLimiter({}), Places(32)
    request = RequestLimits(client("a job", **{"concurrent-uploads": 2}))
    for remaining in (1, 0):
        limiter.check_places(request, Policy.UPLOADS, places)
        assert request.balances[Policy.UPLOADS].remaining == remaining
        places.take(request.client)
    with pytest.raises(Problem, match="rate_limited") as raised:
        limiter.check_places(request, Policy.UPLOADS, places)
    assert raised.value.members["violated-policies"] == ["concurrent-uploads"]
    limiter.check_places(RequestLimits(client("another")), Policy.UPLOADS, places)
