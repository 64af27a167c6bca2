from datetime import UTC, datetime

import pytest

from tests.unit.tracker.event_factory import KEY, V1, done, dropped, redriven
from thumbmill.core.contracts.cloud_event import CONTENT_TYPE, to_cloud_event
from thumbmill.core.contracts.events import Watermark
from thumbmill.core.contracts.identity import image_id_of
from thumbmill.core.contracts.storage_events import parse_storage_events
from thumbmill.core.errors import MalformedEvent
from thumbmill.core.messaging.message import BrokerCredentials, Message
from thumbmill.core.messaging.topology import LIFECYCLE, RETRY, STORAGE_EVENTS
from thumbmill.core.object_store.store import ObjectMetadata
from thumbmill.tracker.republish import make_removal_body, make_upload_body
from thumbmill.tracker.timeline import ReceivedWatermark, TimelineEvent, read_message

UPLOAD = make_upload_body(KEY, ObjectMetadata(V1, V1.etag, "image/jpeg", {"file-name": "a%20b.jpg"}))


def told(body, key="immediate", content_type="application/json", author="thumbnailer"):
    lifecycle = content_type == CONTENT_TYPE
    exchange, author = (LIFECYCLE, author) if lifecycle else (STORAGE_EVENTS, "")
    (fact,) = read_message(Message(body, key, content_type, exchange=exchange, sender=author))
    return fact


def test_twins_are_two_facts_and_the_ledgers_knows_the_other():
    instant, ledger = told(UPLOAD), told(UPLOAD, "durable")
    assert instant.id != ledger.id
    assert (instant.counterpart_id, ledger.counterpart_id) == (None, instant.id)
    assert (instant.image_id, instant.type, instant.object_version) == (
        image_id_of(KEY),
        "storage.ObjectCreated:Put",
        V1,
    )


def test_what_somebody_put_in_by_hand_counts_as_the_ledgers():
    (fact,) = read_message(Message.read(UPLOAD, "status_tracker", "application/json", {}))
    assert fact.recorded_by == "durable"


def test_the_tracker_writes_notifications_that_read_like_minios():
    (upload,) = parse_storage_events(UPLOAD)
    assert (upload.key, upload.object_version, upload.file_name, upload.content_type) == (
        KEY,
        V1,
        "a b.jpg",
        "image/jpeg",
    )
    (removal,) = parse_storage_events(make_removal_body(KEY))
    assert (removal.key, removal.object_version, removal.is_removal, removal.is_about_original) == (
        KEY,
        None,
        True,
        True,
    )


def test_the_timeline_shows_the_thumbnailers_words_without_what_has_a_column():
    fact = told(done().body, "image.done", CONTENT_TYPE)
    assert (fact.type, fact.recorded_by, fact.object_version) == ("image.done", "/thumbnailer", V1)
    assert {"width", "height", "variants", "attempt"} <= fact.data.keys()
    assert not {"key", "type", "object_version"} & fact.data.keys()


def test_a_date_in_the_future_is_forged_and_counts_as_now():
    forged = UPLOAD.replace(f"{V1.modified * 10**9:X}".encode(), f"{7_300_000_000 * 10**9:X}".encode())
    assert told(forged).occurred <= datetime.now(UTC)


def test_a_watermark_is_no_fact():
    event = to_cloud_event(Watermark(), by="status-tracker")
    assert told(event.to_json(), "tracker.watermark", CONTENT_TYPE, "status-tracker") == ReceivedWatermark(
        event.id, event.time
    )


@pytest.mark.parametrize("key", ["", "a\0b", "x" * 1025, "ü" * 513])
def test_a_key_that_no_object_can_have_makes_no_event(key):
    with pytest.raises(MalformedEvent):
        told(make_upload_body(key, ObjectMetadata(V1, V1.etag, None, {})))


def test_other_buckets_and_other_events_are_let_pass():
    assert read_message(Message(UPLOAD.replace(b"images-original", b"images-processed"), "immediate", "")) == []
    assert read_message(Message(UPLOAD.replace(b"Created:Put", b"Accessed:Head"), "immediate", "")) == []


def test_several_records_in_one_message_are_several_facts():
    body = UPLOAD.replace(
        b'"Records": [', b'"Records": [' + UPLOAD[UPLOAD.index(b'"Records": [') + 12 : -2] + b", "
    )
    assert [isinstance(fact, TimelineEvent) for fact in read_message(Message(body, "immediate", ""))] == [
        True,
        True,
    ]


# --- copies of the images' dead letters ----------------------------------------------------------------------

LIMIT = {"x-death": [{"reason": "delivery_limit", "queue": "image_queue", "routing-keys": ["immediate"]}]}


def dead(body=UPLOAD, headers=LIMIT):
    return read_message(Message.read(body, "image_queue.dead", "application/json", headers, exchange=RETRY))


def test_what_the_broker_gave_up_has_failed():
    (fact,) = dead(headers={**LIMIT, "x-attempt": 2, "x-routing-key": "immediate", "x-run": "2026"})
    assert (fact.type, fact.recorded_by, fact.object_version, fact.image_id) == (
        "image.failed", "/rabbitmq", V1, image_id_of(KEY)
    )  # fmt: skip
    assert (fact.payload.error.code, fact.payload.error.retryable) == ("attempts_exhausted", True)
    assert (fact.payload.attempt, fact.payload.run_id) == (2, "2026")
    assert dead()[0].id == dead()[0].id


def test_other_dead_letters_tell_the_tracker_nothing():
    assert dead(headers={"x-reason": "KeyError", "x-error-code": "attempts_exhausted"}) == []
    assert dead(b"garbage", {"x-reason": "malformed event"}) == []
    assert dead(b"garbage") == []
    assert dead(make_removal_body(KEY)) == []
    assert dead(UPLOAD.replace(b"images-original", b"images-processed")) == []


def test_an_operators_word_is_a_line_of_the_timeline():
    fact = redriven("2026-11-22T08:00:00")
    assert (fact.type, fact.recorded_by, fact.object_version) == ("image.redriven", "/cli", None)
    assert fact.data == {
        "operator": "ada", "queue": "image_queue", "code": "attempts_exhausted", "run_id": "2026-11-22T08:00:00"
    }  # fmt: skip
    assert fact.id != redriven("2026-11-22T09:00:00").id != dropped("2026-11-22T09:00:00").id


# --- by what way, and of whom --------------------------------------------------------------------------------


def test_the_bucket_speaks_where_nobody_else_may():
    for exchange, author in (
        (LIFECYCLE, "gateway"),
        (LIFECYCLE, ""),
        (STORAGE_EVENTS, "gateway"),
        ("amq.topic", ""),
    ):
        with pytest.raises(MalformedEvent):
            read_message(Message(UPLOAD, "immediate", "application/json", exchange=exchange, sender=author))


def test_lifecycle_events_come_by_their_own_exchange():
    for exchange in (STORAGE_EVENTS, "amq.topic"):
        with pytest.raises(MalformedEvent):
            read_message(Message(done().body, "image.done", CONTENT_TYPE, exchange=exchange, sender="thumbnailer"))


def test_what_an_operator_sends_back_without_a_seal_has_no_author():
    forged = {"x-routing-key": "image.done", "x-exchange": LIFECYCLE, "x-author": "thumbnailer", "x-seal": "0" * 64}
    reader = BrokerCredentials("status-tracker", "secret")
    message = Message.read(
        done().body, "status_tracker", CONTENT_TYPE, forged, exchange=RETRY, user_id="operator", reader=reader
    )
    with pytest.raises(MalformedEvent, match="user_id"):
        read_message(message)


def test_the_brokers_giving_up_is_believed_of_the_dead_alone():
    with pytest.raises(MalformedEvent):
        read_message(
            Message.read(
                UPLOAD, "upload.requested", "application/json", LIMIT, exchange=LIFECYCLE, user_id="gateway"
            )
        )
