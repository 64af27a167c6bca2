"""The keys of the database in memory: what was read last, for a quarter of an hour."""

import asyncio

import pytest

from tests.unit.gateway.access_fakes import KeysDatabase, make_key, stored
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.gateway.access.known_keys import MAX_STALE_SECONDS, KnownKeys
from thumbmill.gateway.problems import Code, Problem

KEY, OTHER = make_key(), make_key()


@pytest.fixture
def database():
    return KeysDatabase([stored(KEY)])


@pytest.fixture
def clock():
    return [1000.0]


@pytest.fixture
def known(database, clock):
    return KnownKeys(database, lambda: clock[0])


def refresh(known):
    asyncio.run(known.refresh())


def test_the_keys_are_read_again_only_after_a_change(database, known):
    for _ in range(3):
        refresh(known)
    assert database.queries == 2 + 1 + 1
    database.rows = [stored(KEY), stored(OTHER, version=2)]
    assert known.get(OTHER.id) is None
    refresh(known)
    assert known.get(OTHER.id)


def test_keys_of_a_restored_database_are_read_too(database, known):
    database.rows = [stored(KEY), stored(OTHER, version=2)]
    refresh(known)
    database.rows = [stored(KEY)]
    refresh(known)
    assert known.get(KEY.id)
    assert known.get(OTHER.id) is None
    database.rows = []
    refresh(known)
    assert known.get(KEY.id) is None


def test_before_the_first_read_no_key_is_known(known):
    assert not known.is_known
    with pytest.raises(Problem) as raised:
        known.get(KEY.id)
    assert raised.value.code == Code.KEYS_UNKNOWN


def test_without_the_database_the_last_keys_stay_for_a_quarter_of_an_hour(database, known, clock):
    refresh(known)
    database.rows = None
    clock[0] += MAX_STALE_SECONDS
    with pytest.raises(DependencyUnavailable):
        refresh(known)
    assert known.get(KEY.id)
    clock[0] += 1
    with pytest.raises(Problem):
        known.get(KEY.id)
    database.rows = [stored(KEY)]
    refresh(known)
    assert known.get(KEY.id)
