"""What is purged: personal data with the deletion, rows and timelines after their retention, in chunks."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from threading import Event

import psycopg
import pytest

from tests.integration.postgres.messages import (
    ID,
    lifecycle_message,
    notification,
    record_processed_images,
    removal_message,
)
from tests.unit.tracker import event_factory
from tests.unit.tracker.event_factory import KEY
from thumbmill.core.contracts.identity import image_id_of, new_image_id, upload_key
from thumbmill.tracker import retention as retention_module
from thumbmill.tracker.handler import Tracker
from thumbmill.tracker.retention import Retention, RetentionRules

RULES = RetentionRules()


@pytest.fixture
def retention(repository):
    return Retention(repository, RULES)


def purge(retention):
    return retention.run(Event())


def delete_one(tracker, publications, key=KEY):
    tracker.handle([notification(key=key), lifecycle_message(event_factory.done(key=key))], publications)
    tracker.handle([lifecycle_message(event_factory.removed(key=key))], publications)


def age(database, by, table="images", column="updated_at"):
    database.ask(f"UPDATE {table} SET {column} = {column} - %s", [by])  # noqa: S608 - constants


def count(database):
    query = "SELECT (SELECT count(*) FROM images) AS images, (SELECT count(*) FROM events) AS events"
    return list(database.ask(query)[0].values())


def test_with_the_deletion_row_and_timeline_forget_the_file(tracker, database, publications):
    ticket = event_factory.requested()
    events = [ticket, event_factory.processing(), event_factory.done(), event_factory.redriven()]
    tracker.handle([notification(), *map(lifecycle_message, events)], publications)
    late = [event_factory.removed(), ticket]
    tracker.handle([removal_message(), notification(target="durable"), *map(lifecycle_message, late)], publications)
    row = database.ask("SELECT * FROM images")[0]
    assert row["status"] == "DELETED"
    events = database.timeline(ID)
    assert len(events) == 8  # the request's second delivery is no second event
    text = repr([row | {"object_version": None, "expires_at": None}, *(event["data"] for event in events)])
    for personal in (KEY, "a.jpg", "A camera", "52.5", "3OcRJYB4d3h", "#336699", "1111"):
        assert personal not in text, personal
    by_type = {event["type"]: event["data"] for event in events}
    assert by_type["image.redriven"]["operator"] == "ada"
    assert by_type["image.done"] == {"run_id": "", "attempt": 1}


def test_a_deleted_image_is_shown_for_its_retention_and_then_unknown(tracker, database, publications, retention):
    delete_one(tracker, publications)
    age(database, RULES.deleted - timedelta(hours=1))
    assert purge(retention) == 0
    age(database, timedelta(hours=2))
    assert purge(retention) == 1
    assert count(database) == [0, 0]


def test_a_deleted_image_with_variants_is_not_purged(tracker, database, publications, retention):
    tracker.handle([notification(), lifecycle_message(event_factory.done())], publications)
    tracker.handle([removal_message()], publications)  # its variants are still there
    age(database, 2 * RULES.deleted)
    assert purge(retention) == 0


def test_a_row_stays_while_its_form_could_store_a_file(tracker, database, publications, retention):
    key = upload_key(new_image_id())
    tracker.handle(
        [lifecycle_message(event_factory.requested(key=key, expires_at=datetime.now(UTC)))], publications
    )
    delete_one(tracker, publications, key)
    age(database, 2 * RULES.deleted)
    assert purge(retention) == 0
    age(database, 2 * RULES.expired, column="expires_at")
    assert purge(retention) == 1


def test_unused_forms_are_purged_after_their_retention(tracker, database, publications, retention):
    now = datetime.now(UTC)
    ages = {timedelta(0): "AWAITING_UPLOAD", timedelta(hours=1): "EXPIRED", 2 * RULES.expired: None}
    keys = {upload_key(new_image_id()): passed for passed in ages}
    for key, passed in keys.items():
        tracker.handle([lifecycle_message(event_factory.requested(key=key, expires_at=now))], publications)
        database.ask("UPDATE images SET expires_at = expires_at - %s WHERE key = %s", [passed, key])
    assert purge(retention) == 1
    for key, passed in keys.items():
        row = database.status(image_id_of(key))
        assert (row and row["status"]) == ages[passed]
    assert count(database) == [2, 2]


def test_existing_images_stay_at_any_age(tracker, database, publications, retention):
    record_processed_images(tracker, publications)
    for column in ("updated_at", "created_at"):
        age(database, 100 * RULES.deleted, column=column)
    age(database, 100 * RULES.deleted, "events", "recorded")
    before = count(database)
    assert purge(retention) == 0
    assert count(database) == before


def test_events_without_a_row_are_purged_too(tracker, database, publications, retention, monkeypatch):
    monkeypatch.setattr(retention_module, "STRAYS", 2)
    delete_one(tracker, publications)
    strays = [event_factory.removed("1", key=f"never/{n}") for n in range(5)] + [
        event_factory.redriven(key="never/6")
    ]
    tracker.handle([*map(lifecycle_message, strays)], publications)
    assert count(database) == [1, 9]
    assert purge(retention) == 0
    age(database, 2 * RULES.deleted, "events", "recorded")
    assert purge(retention) == len(strays)
    assert count(database) == [1, 3]


def test_late_events_of_purged_images_are_ignored(
    tracker, database, bucket, publications, retention, repository, watermarks
):
    long_ago = datetime.now(UTC) - 2 * RULES.deleted
    delete_one(tracker, publications)
    age(database, 2 * RULES.deleted)
    assert purge(retention) == 1
    tracker = Tracker(repository, bucket, watermarks, RULES)
    heads_sent = bucket.heads_sent
    tracker.handle([lifecycle_message(event_factory.requested(expires_at=long_ago)), notification()], publications)
    assert bucket.heads_sent == heads_sent + 1
    assert count(database) == [0, 0]
    tracker.handle([lifecycle_message(event_factory.removed())], publications)
    assert database.status(ID) is None


def test_many_rows_are_purged_in_chunks_that_skip_locked_ones(
    tracker, database, publications, retention, monkeypatch
):
    monkeypatch.setattr(retention_module, "CHUNK", 7)
    keys = [upload_key(new_image_id()) for _ in range(30)]
    expired = datetime.now(UTC) - 2 * RULES.expired
    tracker.handle([lifecycle_message(event_factory.requested(key=key)) for key in keys], publications)
    database.ask("UPDATE images SET expires_at = %s", [expired])
    with closing(psycopg.connect(database.owner)) as writer:
        writer.execute("SELECT FROM images WHERE key = %s FOR UPDATE", [keys[0]])
        assert purge(retention) == 29
        writer.rollback()  # closing the connection alone would free the lock only when the server notices
    assert purge(retention) == 1
    assert count(database) == [0, 0]
