"""The tracker on a real database: what is written, and what is announced again."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from tests.integration.postgres.messages import ID, REMOVAL, announced, head, mark, rejected_version, spoken
from tests.unit.tracker import event_factory
from tests.unit.tracker.event_factory import KEY, V1, V2
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, image_id_of, new_image_id, upload_key
from thumbmill.core.errors import DependencyUnavailable, MalformedEvent
from thumbmill.core.messaging.message import Message
from thumbmill.core.object_store.errors import InvalidKeyError
from thumbmill.tracker.db.connection import InvalidValueError
from thumbmill.tracker.republish import make_upload_body

# --- the path of one image -----------------------------------------------------------------------------------


def test_the_path_of_one_image(tracker, database, bucket, publications):
    tracker.handle([announced()], publications)
    assert database.status(ID)["status"] == "PENDING"
    tracker.handle(
        [spoken(event_factory.processing()), spoken(event_factory.done()), announced(target="durable")],
        publications,
    )

    row = database.status(ID)
    assert (row["status"], row["key"], row["size"], row["object_version"]) == ("DONE", KEY, V1.size, str(V1))
    assert (row["width"], row["height"], row["format"], row["version"]) == (3000, 2000, "JPEG", 2)
    assert [variant["type"] for variant in row["variants"]] == ["thumbnail"]
    assert (row["details"], row["damaged"]) == (event_factory.DETAILS.model_dump(mode="json"), True)
    first, *others = [(fact["type"], fact["recorded_by"]) for fact in database.timeline(ID)]
    assert first == ("storage.ObjectCreated:Put", "immediate")
    assert sorted(others) == [
        ("image.done", "/thumbnailer"),
        ("image.processing", "/thumbnailer"),
        ("storage.ObjectCreated:Put", "durable"),
    ]
    assert (bucket.looks, publications.bodies) == (0, [])


def test_what_was_said_is_read_again(tracker, repository, publications):
    tracker.handle([announced(), spoken(event_factory.done())], publications)
    with repository.transaction() as unit_of_work:
        row = unit_of_work.lock_images([ID])[ID]
    assert (row.details, row.damaged) == (event_factory.DETAILS, True)
    with repository.transaction() as unit_of_work:
        unit_of_work.write([], [replace(row, details=None, damaged=False)])
    with repository.transaction() as unit_of_work:
        row = unit_of_work.lock_images([ID])[ID]
    assert (row.details, row.damaged) == (None, False)


def test_a_hundred_times_the_same_is_one_row_and_no_change(tracker, database, publications):
    messages = [announced(), announced(target="durable"), spoken(event_factory.done())]
    tracker.handle(messages, publications)
    before = database.status(ID)
    for _ in range(3):
        tracker.handle(messages * 33, publications)
    assert database.status(ID) == before
    assert len(database.timeline(ID)) == 3


def test_a_batch_of_many_images_is_one_transaction(tracker, database, publications):
    keys = [upload_key(new_image_id()) for _ in range(50)]
    facts = [make(key=key) for key in keys for make in (event_factory.processing, event_factory.done)]
    tracker.handle([*(announced(key=key) for key in keys), *map(spoken, facts)], publications)
    assert database.ask("SELECT status, count(*) FROM images GROUP BY 1") == [{"status": "DONE", "count": 50}]
    assert database.ask("SELECT count(DISTINCT xmin::text) FROM images") == [{"count": 1}]


def test_texts_that_postgres_cannot_hold_are_stored_without_their_nul(tracker, database, publications):
    described = replace(head(**{"file-name": "a%00b%20u0000c"}), content_type="image/\0jpeg")
    tracker.handle([Message(make_upload_body(KEY, described), "immediate", "application/json")], publications)
    row = database.status(ID)
    assert row["file_name"] == "ab u0000c"
    assert row["content_type"] == "image/\N{REPLACEMENT CHARACTER}jpeg"


def test_a_number_that_postgres_cannot_hold_spoils_nothing_else(tracker, database, publications):
    other = upload_key(new_image_id())
    with pytest.raises(InvalidValueError):
        tracker.handle([announced(key=other), spoken(event_factory.processing(attempt=2**40))], publications)
    assert database.ask("SELECT * FROM images") == database.ask("SELECT * FROM events") == []
    tracker.handle([announced(key=other)], publications)
    assert database.status(image_id_of(other))["status"] == "PENDING"


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b'{"Records": []}', make_upload_body("a\0b", head())])
def test_what_is_no_event_stops_the_batch_before_it_writes(tracker, database, publications, body):
    with pytest.raises(MalformedEvent):
        tracker.handle([announced(), Message(body, "immediate", "application/json")], publications)
    assert database.status(ID) is None


def test_events_that_are_not_ours_are_let_pass(tracker, database, publications):
    other = make_upload_body(KEY, head()).replace(ORIGINALS_BUCKET.encode(), b"another-bucket")
    tracker.handle([Message(other, "immediate", "application/json")], publications)
    assert database.ask("SELECT * FROM events") == []


# --- the bucket is the judge ---------------------------------------------------------------------------------


def test_a_removal_is_believed_when_the_bucket_agrees(tracker, database, bucket, publications):
    tracker.handle([announced(), spoken(event_factory.done())], publications)
    bucket.heads[KEY] = head()
    tracker.handle([rejected_version()], publications)
    assert database.status(ID)["status"] == "DONE"
    bucket.heads.clear()
    tracker.handle([rejected_version()], publications)
    row = database.status(ID)
    assert (row["status"], row["variants"]) == ("DELETED", [])


def test_one_look_serves_a_batch(tracker, database, bucket, publications):
    tracker.handle([announced()], publications)
    bucket.heads[KEY] = head(V2)
    tracker.handle(
        [announced(V2), rejected_version(), spoken(event_factory.done(V2)), spoken(event_factory.done(V1))],
        publications,
    )
    assert database.status(ID)["object_version"] == str(V2)
    assert bucket.looks == 1


@pytest.mark.parametrize(
    "removal", [rejected_version(), spoken(event_factory.removed())], ids=["the bucket's", "the thumbnailer's"]
)
def test_a_removal_that_came_first_is_remembered_though_it_made_no_row(tracker, database, publications, removal):
    tracker.handle([removal], publications)
    assert database.status(ID) is None
    tracker.handle([announced(), spoken(event_factory.done())], publications)
    assert database.status(ID)["status"] == "DELETED"


def test_a_key_that_the_store_refuses_is_no_objects(tracker, bucket, publications):
    tracker.handle([announced(key="a//b")], publications)
    bucket.fault = InvalidKeyError("Object name contains unsupported characters.")
    with pytest.raises(MalformedEvent, match=r"a//b.*unsupported characters"):
        tracker.handle([announced(V2, key="a//b")], publications)


def test_with_the_store_away_nothing_is_written(tracker, database, bucket, publications):
    tracker.handle([announced()], publications)
    bucket.fault = DependencyUnavailable("minio")
    with pytest.raises(DependencyUnavailable):
        tracker.handle([announced(V2), announced(key="another")], publications)
    assert database.status(ID)["object_version"] == str(V1)
    assert database.status(image_id_of("another")) is None


# --- announcing again ----------------------------------------------------------------------------------------


def test_what_the_ledger_alone_announced_is_announced_again(tracker, publications):
    message = announced(target="durable")
    tracker.handle([message], publications)
    assert publications.bodies == [message.body]
    tracker.handle([message], publications)  # as after a crash behind the commit
    assert publications.bodies == [message.body] * 2


def test_what_the_thumbnailer_acts_upon_is_not_announced_again(tracker, publications):
    tracker.handle([announced(target="durable"), spoken(event_factory.processing())], publications)
    assert publications.bodies == []


@pytest.mark.parametrize("order", [("immediate", "durable"), ("durable", "immediate")])
def test_twins_in_one_batch_are_not_announced_again(tracker, publications, order):
    tracker.handle([announced(target=target) for target in order], publications)
    assert publications.bodies == []


def test_a_removal_that_the_ledger_alone_announced_is_announced_again_until_the_variants_are_gone(
    tracker, database, publications
):
    tracker.handle([announced()], publications)
    tracker.handle([rejected_version("durable")], publications)
    assert publications.bodies == [REMOVAL]
    tracker.handle([spoken(event_factory.removed())], publications)
    tracker.handle([rejected_version("durable")], publications)
    assert len(publications.bodies) == 1


def test_a_publish_that_fails_is_made_up_for_by_the_redelivery(tracker, publications):
    def refuse(*_, **__):
        raise DependencyUnavailable("rabbitmq")

    message = announced(target="durable")
    with pytest.raises(DependencyUnavailable):
        tracker.handle([message], SimpleNamespace(publish=refuse))
    tracker.handle([message], publications)
    assert publications.bodies == [message.body]


# --- how far it has caught up --------------------------------------------------------------------------------


def test_a_mark_says_how_far_everything_is_seen(tracker, database, publications):
    now = datetime.now(UTC)
    tracker.handle([announced(), mark(now)], publications)
    assert database.ask("SELECT * FROM tracker_progress", url=database.gateway) == [{"caught_up_to": now}]
    assert [fact["type"] for fact in database.timeline(ID)] == ["storage.ObjectCreated:Put"]


def test_a_clock_that_was_ahead_and_is_set_right_leaves_no_mark_ahead(tracker, database, publications):
    now = datetime.now(UTC)
    tracker.handle([mark(now + timedelta(minutes=10))], publications)
    tracker.handle([mark(now)], publications)
    assert database.ask("SELECT caught_up_to FROM progress") == [{"caught_up_to": now}]


def test_a_mark_from_before_a_fault_says_nothing(tracker, database, bucket, publications):
    early = datetime.now(UTC)
    tracker.handle([announced()], publications)
    bucket.fault = DependencyUnavailable("minio")
    with pytest.raises(DependencyUnavailable):
        tracker.handle([announced(V2)], publications)
    tracker.handle([mark(early)], publications)
    assert database.ask("SELECT caught_up_to = '-infinity' AS never FROM progress") == [{"never": True}]
    late = datetime.now(UTC)
    tracker.handle([mark(late)], publications)
    assert database.ask("SELECT caught_up_to FROM progress") == [{"caught_up_to": late}]
