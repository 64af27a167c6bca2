"""The tracker on a real database: what is written, and what is republished."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from tests.integration.postgres.messages import (
    ID,
    REMOVAL,
    head,
    lifecycle_message,
    notification,
    removal_message,
    watermark_message,
)
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
    tracker.handle([notification()], publications)
    assert database.status(ID)["status"] == "PENDING"
    tracker.handle(
        [
            lifecycle_message(event_factory.processing()),
            lifecycle_message(event_factory.done()),
            notification(target="durable"),
        ],
        publications,
    )

    row = database.status(ID)
    assert (row["status"], row["key"], row["size"], row["object_version"]) == ("DONE", KEY, V1.size, str(V1))
    assert (row["width"], row["height"], row["format"], row["version"]) == (3000, 2000, "JPEG", 2)
    assert [variant["type"] for variant in row["variants"]] == ["thumbnail"]
    assert (row["details"], row["damaged"]) == (event_factory.DETAILS.model_dump(mode="json"), True)
    first, *others = [(event["type"], event["recorded_by"]) for event in database.timeline(ID)]
    assert first == ("storage.ObjectCreated:Put", "immediate")
    assert sorted(others) == [
        ("image.done", "/thumbnailer"),
        ("image.processing", "/thumbnailer"),
        ("storage.ObjectCreated:Put", "durable"),
    ]
    assert (bucket.heads_sent, publications.bodies) == (0, [])


def test_a_row_is_read_as_it_was_written(tracker, repository, publications):
    tracker.handle([notification(), lifecycle_message(event_factory.done())], publications)
    with repository.transaction() as unit_of_work:
        row = unit_of_work.lock_images([ID])[ID]
    assert (row.details, row.damaged) == (event_factory.DETAILS, True)
    with repository.transaction() as unit_of_work:
        unit_of_work.write([], [replace(row, details=None, damaged=False)])
    with repository.transaction() as unit_of_work:
        row = unit_of_work.lock_images([ID])[ID]
    assert (row.details, row.damaged) == (None, False)


def test_the_same_event_a_hundred_times_is_one_row(tracker, database, publications):
    messages = [notification(), notification(target="durable"), lifecycle_message(event_factory.done())]
    tracker.handle(messages, publications)
    before = database.status(ID)
    for _ in range(3):
        tracker.handle(messages * 33, publications)
    assert database.status(ID) == before
    assert len(database.timeline(ID)) == 3


def test_a_batch_of_many_images_is_one_transaction(tracker, database, publications):
    keys = [upload_key(new_image_id()) for _ in range(50)]
    events = [make(key=key) for key in keys for make in (event_factory.processing, event_factory.done)]
    tracker.handle([*(notification(key=key) for key in keys), *map(lifecycle_message, events)], publications)
    assert database.ask("SELECT status, count(*) FROM images GROUP BY 1") == [{"status": "DONE", "count": 50}]
    assert database.ask("SELECT count(DISTINCT xmin::text) FROM images") == [{"count": 1}]


def test_texts_that_postgres_cannot_hold_are_stored_without_their_nul(tracker, database, publications):
    described = replace(head(**{"file-name": "a%00b%20u0000c"}), content_type="image/\0jpeg")
    tracker.handle([Message(make_upload_body(KEY, described), "immediate", "application/json")], publications)
    row = database.status(ID)
    assert row["file_name"] == "ab u0000c"
    assert row["content_type"] == "image/\N{REPLACEMENT CHARACTER}jpeg"


def test_only_the_event_with_a_number_that_postgres_cannot_hold_is_rejected(tracker, database, publications):
    other = upload_key(new_image_id())
    with pytest.raises(InvalidValueError):
        tracker.handle(
            [notification(key=other), lifecycle_message(event_factory.processing(attempt=2**40))], publications
        )
    assert database.ask("SELECT * FROM images") == database.ask("SELECT * FROM events") == []
    tracker.handle([notification(key=other)], publications)
    assert database.status(image_id_of(other))["status"] == "PENDING"


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b'{"Records": []}', make_upload_body("a\0b", head())])
def test_a_malformed_event_stops_the_batch_before_it_writes(tracker, database, publications, body):
    with pytest.raises(MalformedEvent):
        tracker.handle([notification(), Message(body, "immediate", "application/json")], publications)
    assert database.status(ID) is None


def test_events_of_other_objects_are_ignored(tracker, database, publications):
    other = make_upload_body(KEY, head()).replace(ORIGINALS_BUCKET.encode(), b"another-bucket")
    tracker.handle([Message(other, "immediate", "application/json")], publications)
    assert database.ask("SELECT * FROM events") == []


# --- the bucket decides --------------------------------------------------------------------------------------


def test_a_removal_counts_if_the_bucket_agrees(tracker, database, bucket, publications):
    tracker.handle([notification(), lifecycle_message(event_factory.done())], publications)
    bucket.heads[KEY] = head()
    tracker.handle([removal_message()], publications)
    assert database.status(ID)["status"] == "DONE"
    bucket.heads.clear()
    tracker.handle([removal_message()], publications)
    row = database.status(ID)
    assert (row["status"], row["variants"]) == ("DELETED", [])


def test_one_head_serves_a_batch(tracker, database, bucket, publications):
    tracker.handle([notification()], publications)
    bucket.heads[KEY] = head(V2)
    tracker.handle(
        [
            notification(V2),
            removal_message(),
            lifecycle_message(event_factory.done(V2)),
            lifecycle_message(event_factory.done(V1)),
        ],
        publications,
    )
    assert database.status(ID)["object_version"] == str(V2)
    assert bucket.heads_sent == 1


@pytest.mark.parametrize(
    "removal",
    [removal_message(), lifecycle_message(event_factory.removed())],
    ids=["the bucket's", "the thumbnailer's"],
)
def test_a_removal_that_comes_first_is_known_without_a_row(tracker, database, publications, removal):
    tracker.handle([removal], publications)
    assert database.status(ID) is None
    tracker.handle([notification(), lifecycle_message(event_factory.done())], publications)
    assert database.status(ID)["status"] == "DELETED"


def test_a_key_that_the_store_rejects_is_a_malformed_event(tracker, bucket, publications):
    tracker.handle([notification(key="a//b")], publications)
    bucket.error = InvalidKeyError("Object name contains unsupported characters.")
    with pytest.raises(MalformedEvent, match=r"a//b.*unsupported characters"):
        tracker.handle([notification(V2, key="a//b")], publications)


def test_nothing_is_written_while_the_store_is_unavailable(tracker, database, bucket, publications):
    tracker.handle([notification()], publications)
    bucket.error = DependencyUnavailable("minio")
    with pytest.raises(DependencyUnavailable):
        tracker.handle([notification(V2), notification(key="another")], publications)
    assert database.status(ID)["object_version"] == str(V1)
    assert database.status(image_id_of("another")) is None


# --- announcing again ----------------------------------------------------------------------------------------


def test_an_event_without_its_immediate_duplicate_is_republished(tracker, publications):
    message = notification(target="durable")
    tracker.handle([message], publications)
    assert publications.bodies == [message.body]
    tracker.handle([message], publications)  # as after a crash behind the commit
    assert publications.bodies == [message.body] * 2


def test_an_event_that_the_thumbnailer_acted_upon_is_not_republished(tracker, publications):
    tracker.handle([notification(target="durable"), lifecycle_message(event_factory.processing())], publications)
    assert publications.bodies == []


@pytest.mark.parametrize("order", [("immediate", "durable"), ("durable", "immediate")])
def test_counterparts_in_one_batch_are_not_republished(tracker, publications, order):
    tracker.handle([notification(target=target) for target in order], publications)
    assert publications.bodies == []


def test_a_removal_without_its_immediate_duplicate_is_republished_until_the_variants_are_removed(
    tracker, database, publications
):
    tracker.handle([notification()], publications)
    tracker.handle([removal_message("durable")], publications)
    assert publications.bodies == [REMOVAL]
    tracker.handle([lifecycle_message(event_factory.removed())], publications)
    tracker.handle([removal_message("durable")], publications)
    assert len(publications.bodies) == 1


def test_a_failed_publish_is_repeated_by_the_redelivery(tracker, publications):
    def refuse(*_, **__):
        raise DependencyUnavailable("rabbitmq")

    message = notification(target="durable")
    with pytest.raises(DependencyUnavailable):
        tracker.handle([message], SimpleNamespace(publish=refuse))
    tracker.handle([message], publications)
    assert publications.bodies == [message.body]


# --- how far it has caught up --------------------------------------------------------------------------------


def test_a_watermark_records_how_far_everything_has_been_seen(tracker, database, publications):
    now = datetime.now(UTC)
    tracker.handle([notification(), watermark_message(now)], publications)
    assert database.ask("SELECT * FROM tracker_progress", url=database.gateway) == [{"caught_up_to": now}]
    assert [event["type"] for event in database.timeline(ID)] == ["storage.ObjectCreated:Put"]


def test_a_corrected_clock_moves_the_watermark_back(tracker, database, publications):
    now = datetime.now(UTC)
    tracker.handle([watermark_message(now + timedelta(minutes=10))], publications)
    tracker.handle([watermark_message(now)], publications)
    assert database.ask("SELECT caught_up_to FROM progress") == [{"caught_up_to": now}]


def test_a_watermark_from_before_an_error_does_not_count(tracker, database, bucket, publications):
    early = datetime.now(UTC)
    tracker.handle([notification()], publications)
    bucket.error = DependencyUnavailable("minio")
    with pytest.raises(DependencyUnavailable):
        tracker.handle([notification(V2)], publications)
    tracker.handle([watermark_message(early)], publications)
    assert database.ask("SELECT caught_up_to = '-infinity' AS never FROM progress") == [{"never": True}]
    late = datetime.now(UTC)
    tracker.handle([watermark_message(late)], publications)
    assert database.ask("SELECT caught_up_to FROM progress") == [{"caught_up_to": late}]
