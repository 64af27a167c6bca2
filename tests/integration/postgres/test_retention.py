"""What ends: personal parts with the deletion, rows and timelines after their time, in chunks."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from threading import Event

import psycopg
import pytest

from tests.integration.postgres.messages import ID, announced, rejected_version, spoken
from tests.unit.tracker import event_factory
from tests.unit.tracker.event_factory import KEY
from thumbmill.core.contracts.identity import image_id_of, new_image_id, upload_key
from thumbmill.tracker import retention as retention_module
from thumbmill.tracker.handler import Tracker
from thumbmill.tracker.retention import Retention, Rules

RULES = Rules()


@pytest.fixture
def retention(repository):
    return Retention(repository, RULES)


def purge(retention):
    return retention.run(Event())


def delete_one(tracker, publications, key=KEY):
    tracker.handle([announced(key=key), spoken(event_factory.done(key=key))], publications)
    tracker.handle([spoken(event_factory.removed(key=key))], publications)


def age(database, by, table="images", column="updated_at"):
    database.ask(f"UPDATE {table} SET {column} = {column} - %s", [by])  # noqa: S608 - constants


def count(database):
    query = "SELECT (SELECT count(*) FROM images) AS images, (SELECT count(*) FROM events) AS events"
    return list(database.ask(query)[0].values())


def test_with_the_deletion_row_and_timeline_forget_the_file(tracker, database, publications):
    ticket = event_factory.requested()
    facts = [ticket, event_factory.processing(), event_factory.done(), event_factory.redriven()]
    tracker.handle([announced(), *map(spoken, facts)], publications)
    late = [event_factory.removed(), ticket]
    tracker.handle([rejected_version(), announced(target="durable"), *map(spoken, late)], publications)
    row = database.ask("SELECT * FROM images")[0]
    assert row["status"] == "DELETED"
    facts = database.timeline(ID)
    assert len(facts) == 8  # the ticket's second telling is no second fact
    told = repr([row | {"object_version": None, "expires_at": None}, *(fact["data"] for fact in facts)])
    for personal in (KEY, "a.jpg", "A camera", "52.5", "3OcRJYB4d3h", "#336699", "1111"):
        assert personal not in told, personal
    by_type = {fact["type"]: fact["data"] for fact in facts}
    assert by_type["image.redriven"]["operator"] == "ada"
    assert by_type["image.done"] == {"run_id": "", "attempt": 1}


def test_a_deleted_image_is_told_for_its_time_and_then_unknown(tracker, database, publications, retention):
    delete_one(tracker, publications)
    age(database, RULES.deleted - timedelta(hours=1))
    assert purge(retention) == 0
    age(database, timedelta(hours=2))
    assert purge(retention) == 1
    assert count(database) == [0, 0]


def test_what_is_still_to_be_done_for_a_deleted_image_is_not_forgotten(tracker, database, publications, retention):
    tracker.handle([announced(), spoken(event_factory.done())], publications)
    tracker.handle([rejected_version()], publications)  # its variants are still there
    age(database, 2 * RULES.deleted)
    assert purge(retention) == 0


def test_a_row_stays_while_its_form_could_bring_the_image_back(tracker, database, publications, retention):
    key = upload_key(new_image_id())
    tracker.handle([spoken(event_factory.requested(key=key, expires_at=datetime.now(UTC)))], publications)
    delete_one(tracker, publications, key)
    age(database, 2 * RULES.deleted)
    assert purge(retention) == 0
    age(database, 2 * RULES.expired, column="expires_at")
    assert purge(retention) == 1


def test_tickets_that_were_not_used_go_after_their_time(tracker, database, publications, retention):
    now = datetime.now(UTC)
    ages = {timedelta(0): "AWAITING_UPLOAD", timedelta(hours=1): "EXPIRED", 2 * RULES.expired: None}
    keys = {upload_key(new_image_id()): passed for passed in ages}
    for key, passed in keys.items():
        tracker.handle([spoken(event_factory.requested(key=key, expires_at=now))], publications)
        database.ask("UPDATE images SET expires_at = expires_at - %s WHERE key = %s", [passed, key])
    assert purge(retention) == 1
    for key, passed in keys.items():
        row = database.status(image_id_of(key))
        assert (row and row["status"]) == ages[passed]
    assert count(database) == [2, 2]


def test_images_that_live_stay_whatever_their_age(tracker, database, publications, retention):
    keys = [upload_key(new_image_id()) for _ in range(3)]
    facts = [
        event_factory.processing(key=keys[0]),
        event_factory.done(key=keys[1]),
        event_factory.failed(key=keys[2]),
    ]
    tracker.handle([*(announced(key=key) for key in keys), *map(spoken, facts)], publications)
    for column in ("updated_at", "created_at"):
        age(database, 100 * RULES.deleted, column=column)
    age(database, 100 * RULES.deleted, "events", "recorded")
    before = count(database)
    assert purge(retention) == 0
    assert count(database) == before


def test_facts_of_what_never_had_a_row_go_too(tracker, database, publications, retention, monkeypatch):
    monkeypatch.setattr(retention_module, "STRAYS", 2)
    delete_one(tracker, publications)
    strays = [event_factory.removed("1", key=f"never/{n}") for n in range(5)] + [
        event_factory.redriven(key="never/6")
    ]
    tracker.handle([*map(spoken, strays)], publications)
    assert count(database) == [1, 9]
    assert purge(retention) == 0
    age(database, 2 * RULES.deleted, "events", "recorded")
    assert purge(retention) == len(strays)
    assert count(database) == [1, 3]


def test_late_news_of_the_purged_is_forgotten_at_once(
    tracker, database, bucket, publications, retention, repository, watermarks
):
    long_ago = datetime.now(UTC) - 2 * RULES.deleted
    delete_one(tracker, publications)
    age(database, 2 * RULES.deleted)
    assert purge(retention) == 1
    tracker = Tracker(repository, bucket, watermarks, RULES)
    looks = bucket.looks
    tracker.handle([spoken(event_factory.requested(expires_at=long_ago)), announced()], publications)
    assert bucket.looks == looks + 1
    assert count(database) == [0, 0]
    tracker.handle([spoken(event_factory.removed())], publications)
    assert database.status(ID) is None


def test_many_go_in_chunks_and_nobody_is_waited_for(tracker, database, publications, retention, monkeypatch):
    monkeypatch.setattr(retention_module, "CHUNK", 7)
    keys = [upload_key(new_image_id()) for _ in range(30)]
    expired = datetime.now(UTC) - 2 * RULES.expired
    tracker.handle([spoken(event_factory.requested(key=key)) for key in keys], publications)
    database.ask("UPDATE images SET expires_at = %s", [expired])
    with closing(psycopg.connect(database.owner)) as writer:
        writer.execute("SELECT FROM images WHERE key = %s FOR UPDATE", [keys[0]])
        assert purge(retention) == 29
    assert purge(retention) == 1
    assert count(database) == [0, 0]
