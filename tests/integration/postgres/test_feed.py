"""The feed of changes: one for each change that an image shows, in the order of commits."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from threading import Event

import psycopg
import pytest
from pydantic import SecretStr

from tests.integration.postgres.messages import ID, REMOVAL, head, lifecycle_message, notification, removal_message
from tests.unit.tracker import event_factory
from tests.unit.tracker.event_factory import KEY
from thumbmill.core.contracts.batch import BATCH_METADATA
from thumbmill.core.contracts.changes import CHANNEL, ChangeType
from thumbmill.core.contracts.identity import image_id_of, new_image_id, upload_key
from thumbmill.core.messaging.message import Message
from thumbmill.tracker import retention
from thumbmill.tracker.db.connection import ConflictError
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.on_demand.endpoints import make_endpoints
from thumbmill.tracker.republish import make_upload_body
from thumbmill.tracker.retention import Retention, RetentionRules

OTHER = "another/one.jpg"


def feed(database, *columns):
    shown = database.ask("SELECT * FROM image_changes ORDER BY seq", url=database.gateway)
    return [tuple(change[column] for column in columns) for change in shown]


def head_of(database):
    return database.ask("SELECT * FROM feed_head", url=database.gateway)[0]


def test_each_shown_change_is_in_the_feed_once(tracker, database, bucket, publications):
    steps = [
        [notification()],
        [lifecycle_message(event_factory.processing())],
        [lifecycle_message(event_factory.retrying())],
        [lifecycle_message(event_factory.done(attempt=2))],
        [removal_message()],
        [lifecycle_message(event_factory.removed())],  # forgets the key
    ]
    for messages in steps:
        tracker.handle(messages, publications)
        tracker.handle(messages, publications)  # as after a crash behind the commit
    assert feed(database, "seq", "version", "type") == [
        (1, 1, ChangeType.PENDING),
        (2, 2, ChangeType.PROCESSING),
        (3, 3, ChangeType.RETRYING),
        (4, 4, ChangeType.DONE),
        (5, 5, ChangeType.DELETED),
        (6, 6, ChangeType.DELETED),
    ]
    shown = head_of(database)
    assert (shown["last"], shown["oldest"]) == (6, 1)
    assert database.status(ID)["event_id"] == f"{shown['epoch']}-6"


def test_what_nobody_sees_is_not_in_the_feed(tracker, database, publications):
    key = upload_key(new_image_id())
    tracker.handle([notification(key=key)], publications)
    tracker.handle([removal_message(key=key)], publications)
    before = head_of(database), database.status(image_id_of(key))["version"]
    tracker.handle([lifecycle_message(event_factory.removed(key=key))], publications)  # its variants are removed
    assert database.ask("SELECT variants_removed FROM images") == [{"variants_removed": True}]
    assert (head_of(database), database.status(image_id_of(key))["version"] - 1) == before


def test_a_change_has_the_columns_of_the_status_view_after_it(tracker, repository, database, publications):
    tracker.handle([notification(), notification(key=OTHER)], publications)
    tracker.handle([lifecycle_message(event_factory.done())], publications)
    tracker.handle([lifecycle_message(event_factory.failed(key=OTHER))], publications)
    latest = "SELECT DISTINCT ON (image_id) data FROM image_changes ORDER BY image_id, seq DESC"
    rows = "SELECT to_jsonb(image_status) - 'stored_status' AS data FROM image_status ORDER BY id"
    assert database.ask(latest, url=database.gateway) == database.ask(rows, url=database.gateway)


def test_readers_are_notified_with_the_last_seq(tracker, database, publications):
    with closing(psycopg.connect(database.gateway, autocommit=True)) as reader:
        reader.execute(f"LISTEN {CHANNEL}")
        tracker.handle([notification(), notification(key=OTHER)], publications)
        tracker.handle([notification()], publications)  # changes nothing
        tracker.handle([lifecycle_message(event_factory.done())], publications)
        assert [notify.payload for notify in reader.notifies(timeout=10, stop_after=2)] == ["2", "3"]


def test_a_batch_that_another_writer_overtook_leaves_no_gap(tracker, repository, database, publications):
    tracker.handle([notification()], publications)
    with repository.transaction() as unit_of_work:
        stale = unit_of_work.lock_images([ID])[ID]
    tracker.handle([lifecycle_message(event_factory.processing())], publications)
    with pytest.raises(ConflictError), repository.transaction() as unit_of_work:
        unit_of_work.write([], [stale])
    tracker.handle([lifecycle_message(event_factory.done())], publications)
    assert [seq for (seq,) in feed(database, "seq")] == [1, 2, 3]


def test_the_feed_forgets_what_a_deleted_image_may_not_retain(tracker, database, publications):
    named = Message(make_upload_body(KEY, head(**{"file-name": "jane.jpg"})), "immediate", "application/json")
    tracker.handle([named], publications)
    tracker.handle([lifecycle_message(event_factory.done())], publications)
    assert "jane" in repr(feed(database, "data"))
    tracker.handle([Message(REMOVAL, "immediate", "application/json")], publications)
    for personal in ("jane", "jpeg", "camera", "thumbnail"):
        assert personal not in repr(feed(database, "data"))
    assert KEY in repr(feed(database, "data")), "the thumbnailer still needs it"
    tracker.handle([lifecycle_message(event_factory.removed())], publications)
    assert KEY not in repr(feed(database, "data"))
    assert [type_ for (type_,) in feed(database, "type")] == ["image.pending", "image.done", *["image.deleted"] * 2]


def test_the_version_of_an_image_that_was_purged_goes_on(tracker, repository, database, publications):
    ticket = event_factory.requested(key=OTHER, expires_at=datetime.now(UTC) - timedelta(days=2))
    tracker.handle([lifecycle_message(ticket)], publications)
    assert repository.purge_expired(timedelta(days=1), 10) == 1
    assert OTHER not in repr(feed(database, "data"))
    tracker.handle([notification(key=OTHER)], publications)
    assert feed(database, "seq", "version", "type") == [(1, 1, "image.awaiting_upload"), (2, 2, "image.pending")]


# --- the beginning of the feed, and its epoch ------------------------------------------------------------------


def test_old_changes_are_pruned_from_the_beginning(tracker, repository, database, publications, monkeypatch):
    monkeypatch.setattr(retention, "CHANGES", 2)
    keys = [upload_key(new_image_id()) for _ in range(6)]
    tracker.handle([notification(key=key) for key in keys], publications)
    database.ask("UPDATE changes SET at = at - interval '15 days' WHERE seq NOT IN (4, 6)")
    pruning = Retention(repository, RetentionRules())
    assert pruning.run(Event()) == 3
    assert [seq for (seq,) in feed(database, "seq")] == [4, 5, 6], "a younger one keeps what came after it"
    assert head_of(database)["oldest"] == 4
    database.ask("UPDATE changes SET at = at - interval '15 days'")
    assert pruning.run(Event()) == 3
    assert (head_of(database)["oldest"], head_of(database)["last"]) == (7, 6)
    tracker.handle([lifecycle_message(event_factory.done(key=keys[0]))], publications)
    assert [seq for (seq,) in feed(database, "seq")] == [7]


def test_a_renewed_feed_continues_with_another_epoch(tracker, database, publications):
    tracker.handle([notification()], publications)
    before = head_of(database)
    endpoints = make_endpoints(lambda: Repository(SecretStr(database.tracker), "admin port"))
    with closing(psycopg.connect(database.gateway, autocommit=True)) as reader:
        reader.execute(f"LISTEN {CHANNEL}")
        renewed = endpoints["POST", "/feed/renew"]({"operator": "ada"})
        assert [notify.payload for notify in reader.notifies(timeout=10, stop_after=1)] == ["1"]
    after = head_of(database)
    assert after["epoch"] != before["epoch"]
    assert renewed == {"state": "done", "epoch": after["epoch"], "last": 1}
    assert database.status(ID)["event_id"] == f"{after['epoch']}-1"
    tracker.handle([lifecycle_message(event_factory.done())], publications)
    assert [seq for (seq,) in feed(database, "seq")] == [1, 2]


# --- batches -------------------------------------------------------------------------------------------------


def labelled(label, key=KEY):
    described = head(**{BATCH_METADATA: label})
    return Message(make_upload_body(key, described), "immediate", "application/json")


def test_a_batch_is_read_from_the_objects_metadata(tracker, database, bucket, publications):
    tracker.handle([labelled("holiday_2026-11"), labelled("no label, but text", OTHER)], publications)
    assert database.status(ID)["batch"] == "holiday_2026-11"
    assert database.status(image_id_of(OTHER))["batch"] is None
    assert sorted(feed(database, "batch"), key=repr) == [("holiday_2026-11",), (None,)]


def test_a_batch_of_a_form_stays_with_its_image(tracker, database, bucket, publications):
    key = upload_key(new_image_id())
    later = datetime.now(UTC) + timedelta(minutes=15)
    tracker.handle(
        [lifecycle_message(event_factory.requested(key=key, expires_at=later, batch="b1"))], publications
    )
    tracker.handle([notification(key=key)], publications)
    tracker.handle([removal_message(key=key)], publications)
    assert database.status(image_id_of(key))["batch"] == "b1"
    assert feed(database, "type", "batch") == [
        ("image.awaiting_upload", "b1"),
        ("image.pending", "b1"),
        ("image.deleted", "b1"),
    ]


def test_another_object_brings_its_own_batch(tracker, database, bucket, publications):
    tracker.handle([labelled("first")], publications)
    bucket.heads[KEY] = head(event_factory.V2, **{BATCH_METADATA: "second"})
    tracker.handle([notification(event_factory.V2)], publications)
    assert database.status(ID)["batch"] == "second"
