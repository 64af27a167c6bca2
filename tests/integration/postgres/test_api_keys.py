"""API keys as `thumbmill keys` writes them: in the order of commits, each with an entry in the history."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import errors

from tests.support.waiting import wait_until
from thumbmill.cli.keys.database import Grant, RevokedKeyError, UnknownKeyError, open_keys
from thumbmill.core.contracts.api_keys import make_key

GRANT = Grant("acme", "a program", ["upload", "read"], None, {"uploads": 5})


@pytest.fixture
def keys(database):
    with open_keys(database.key_keeper, "cli:ada") as keys:
        yield keys


def known(database):
    return database.ask("SELECT * FROM known_keys ORDER BY version", url=database.gateway)


def test_a_key_is_stored_without_its_text(database, keys):
    key = make_key()
    keys.add(key, GRANT)
    [row] = known(database)
    assert row["secret_sha256"] == key.digest
    assert (row["tenant"], row["scopes"], row["limits"]) == ("acme", ["upload", "read"], {"uploads": 5})
    stored = repr(database.ask("SELECT * FROM api_keys") + database.ask("SELECT * FROM api_key_events"))
    assert key.text.rpartition("_")[2] not in stored


def test_a_rotated_key_ends_after_the_overlap_and_its_successor_allows_the_same(database, keys):
    first, second, third = make_key(), make_key(), make_key()
    keys.add(first, GRANT)
    old = keys.rotate(first.id, second, None, timedelta(hours=1))
    assert timedelta(minutes=59) < old.expires_at - datetime.now(UTC) <= timedelta(hours=1)
    assert old.successor == second.id
    assert keys.rotate(first.id, third, None, timedelta(days=9)).expires_at == old.expires_at  # never later
    rows = {row["id"]: row for row in known(database)}
    for successor in (second, third):
        assert rows[successor.id]["expires_at"] is None
        for name in ("tenant", "name", "scopes", "limits"):
            assert rows[successor.id][name] == rows[first.id][name]
    assert rows[first.id]["version"] == max(row["version"] for row in rows.values())


def test_a_revoked_key_stays_revoked(database, keys):
    key = make_key()
    keys.add(key, GRANT)
    assert keys.revoke(key.id).id == key.id
    assert known(database)[0]["revoked_at"]
    with pytest.raises(RevokedKeyError):
        keys.revoke(key.id)
    with pytest.raises(RevokedKeyError):
        keys.rotate(key.id, make_key(), None, timedelta())
    with (
        pytest.raises(errors.RaiseException, match="revoked for good"),
        closing(psycopg.connect(database.key_keeper)) as connection,
    ):
        connection.execute("UPDATE api_keys SET revoked_at = NULL")
    with pytest.raises(UnknownKeyError):
        keys.revoke("0000000000")


def test_the_history_names_who_changed_a_key(database, keys):
    first, second = make_key(), make_key()
    keys.add(first, GRANT)
    with open_keys(database.key_keeper, "cli:bob") as others:
        others.rotate(first.id, second, None, timedelta())
        others.revoke(first.id)
    changes = [(event.key_id, event.type, event.actor) for event in keys.read_history(None)]
    assert changes == [
        (first.id, "created", "cli:ada"),
        (second.id, "created", "cli:bob"),
        (first.id, "rotated", "cli:bob"),
        (first.id, "revoked", "cli:bob"),
    ]
    assert [event.type for event in keys.read_history(second.id)] == ["created"]
    assert keys.read_history(None)[0].data["scopes"] == ["upload", "read"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE api_key_events SET actor = 'nobody'",
        "DELETE FROM api_key_events",
        "INSERT INTO api_key_events VALUES (9, 'x', 'created', 'nobody', now(), '{}')",
        "DELETE FROM api_keys",
        "UPDATE api_keys SET scopes = '{admin}'",
        "UPDATE api_keys SET secret_sha256 = sha256('mine')",
        "UPDATE api_keys SET version = 0",
        "ALTER TABLE api_keys DISABLE TRIGGER ALL",
        "SELECT * FROM images",
        "SELECT * FROM image_status",
    ],
)
def test_whoever_writes_keys_cannot_change_the_history_or_what_a_key_allows(database, keys, statement):
    keys.add(make_key(), GRANT)
    with closing(psycopg.connect(database.key_keeper)) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(statement)


def test_versions_are_in_the_order_of_commits(database, keys):
    def add(_):
        with open_keys(database.key_keeper, "cli:ada") as own:
            own.add(make_key(), GRANT)

    slow = psycopg.connect(database.key_keeper)
    with closing(slow), ThreadPoolExecutor(3) as pool:
        key = make_key()
        slow.execute(
            "INSERT INTO api_keys (id, tenant, name, scopes, secret_sha256, changed_by)"
            " VALUES (%s, '', 'slow', '{read}', %s, 'a test')",
            [key.id, key.digest],
        )
        others = pool.map(add, range(3))
        # None of the others may be visible with a later number before this one is.
        waiting = (
            "SELECT count(*) = 3 AS all FROM pg_stat_activity"
            " WHERE datname = current_database() AND usename = 'key_keeper' AND wait_event_type = 'Lock'"
        )
        wait_until(lambda: database.ask(waiting)[0]["all"], 30, "three waiting writers")
        assert known(database) == []
        slow.commit()
        list(others)
    assert [row["version"] for row in known(database)] == [1, 2, 3, 4]
    assert known(database)[0]["id"] == key.id
