from datetime import UTC, datetime

import pytest

from tests.unit.tracker.event_factory import KEY, V1, done, dropped, redriven
from thumbmill.core.contracts.cloud_event import CONTENT_TYPE, to_cloud_event
from thumbmill.core.contracts.identity import image_id_of
from thumbmill.core.contracts.storage_events import parse_storage_events
from thumbmill.core.contracts.system_events import Watermark
from thumbmill.core.errors import MalformedEvent
from thumbmill.core.messaging.message import BrokerCredentials, Message
from thumbmill.core.messaging.topology import LIFECYCLE, RETRY, STORAGE_EVENTS
from thumbmill.core.object_store.store import ObjectMetadata
from thumbmill.tracker.republish import make_removal_body, make_upload_body
from thumbmill.tracker.timeline import ReceivedWatermark, TimelineEvent, read_message

UPLOAD = make_upload_body(KEY, ObjectMetadata(V1, V1.etag, "image/jpeg", {"file-name": "a%20b.jpg"}))


def read_one(body, key="immediate", content_type="application/json", sender="thumbnailer"):
    lifecycle = content_type == CONTENT_TYPE
    exchange, sender = (LIFECYCLE, sender) if lifecycle else (STORAGE_EVENTS, "")
    (event,) = read_message(Message(body, key, content_type, exchange=exchange, sender=sender))
    return event


def test_both_targets_make_an_event_and_the_durable_one_names_its_counterpart():
    immediate, durable = read_one(UPLOAD), read_one(UPLOAD, "durable")
    assert immediate.id != durable.id
    assert (immediate.counterpart_id, durable.counterpart_id) == (None, immediate.id)
    assert (immediate.image_id, immediate.type, immediate.object_version) == (
        image_id_of(KEY),
        "storage.ObjectCreated:Put",
        V1,
    )


def test_a_message_that_an_operator_put_into_the_queue_counts_as_durable():
    (event,) = read_message(Message.read(UPLOAD, "status_tracker", "application/json", {}))
    assert event.recorded_by == "durable"


def test_notifications_of_the_tracker_are_read_like_minios():
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


def test_the_timeline_shows_an_events_data_without_what_has_a_column():
    event = read_one(done().body, "image.done", CONTENT_TYPE)
    assert (event.type, event.recorded_by, event.object_version) == ("image.done", "/thumbnailer", V1)
    assert {"width", "height", "variants", "attempt"} <= event.data.keys()
    assert not {"key", "type", "object_version"} & event.data.keys()


def test_a_forged_date_in_the_future_counts_as_now():
    forged = UPLOAD.replace(f"{V1.modified * 10**9:X}".encode(), f"{7_300_000_000 * 10**9:X}".encode())
    assert read_one(forged).occurred <= datetime.now(UTC)


def test_a_watermark_is_no_timeline_event():
    event = to_cloud_event(Watermark(), by="status-tracker")
    assert read_one(event.to_json(), "tracker.watermark", CONTENT_TYPE, "status-tracker") == ReceivedWatermark(
        event.id, event.time
    )


@pytest.mark.parametrize("key", ["", "a\0b", "x" * 1025, "ü" * 513])
def test_a_key_that_no_object_can_have_makes_no_event(key):
    with pytest.raises(MalformedEvent):
        read_one(make_upload_body(key, ObjectMetadata(V1, V1.etag, None, {})))


def test_events_of_other_buckets_and_other_types_are_ignored():
    assert read_message(Message(UPLOAD.replace(b"images-original", b"images-processed"), "immediate", "")) == []
    assert read_message(Message(UPLOAD.replace(b"Created:Put", b"Accessed:Head"), "immediate", "")) == []


def test_several_records_in_one_message_are_several_events():
    body = UPLOAD.replace(
        b'"Records": [', b'"Records": [' + UPLOAD[UPLOAD.index(b'"Records": [') + 12 : -2] + b", "
    )
    assert [isinstance(event, TimelineEvent) for event in read_message(Message(body, "immediate", ""))] == [
        True,
        True,
    ]


# --- copies of the images' dead letters ----------------------------------------------------------------------

LIMIT = {"x-death": [{"reason": "delivery_limit", "queue": "image_queue", "routing-keys": ["immediate"]}]}


def dead(body=UPLOAD, headers=LIMIT):
    return read_message(Message.read(body, "image_queue.dead", "application/json", headers, exchange=RETRY))


def test_a_message_at_its_delivery_limit_is_a_failed_image():
    (event,) = dead(headers={**LIMIT, "x-attempt": 2, "x-routing-key": "immediate", "x-run": "2026"})
    assert (event.type, event.recorded_by, event.object_version, event.image_id) == (
        "image.failed", "/rabbitmq", V1, image_id_of(KEY)
    )  # fmt: skip
    assert (event.payload.error.code, event.payload.error.retryable) == ("attempts_exhausted", True)
    assert (event.payload.attempt, event.payload.run_id) == (2, "2026")
    assert dead()[0].id == dead()[0].id


def test_other_dead_letters_are_ignored():
    assert dead(headers={"x-reason": "KeyError", "x-error-code": "attempts_exhausted"}) == []
    assert dead(b"garbage", {"x-reason": "malformed event"}) == []
    assert dead(b"garbage") == []
    assert dead(make_removal_body(KEY)) == []
    assert dead(UPLOAD.replace(b"images-original", b"images-processed")) == []


def test_an_operators_event_is_in_the_timeline():
    event = redriven("2026-11-22T08:00:00")
    assert (event.type, event.recorded_by, event.object_version) == ("image.redriven", "/cli", None)
    assert event.data == {
        "operator": "ada", "queue": "image_queue", "code": "attempts_exhausted", "run_id": "2026-11-22T08:00:00"
    }  # fmt: skip
    assert event.id != redriven("2026-11-22T09:00:00").id != dropped("2026-11-22T09:00:00").id


# --- exchanges and senders ---------------------------------------------------------------------------------------


def test_the_buckets_events_come_by_their_own_exchange_and_sender():
    for exchange, sender in (
        (LIFECYCLE, "gateway"),
        (LIFECYCLE, ""),
        (STORAGE_EVENTS, "gateway"),
        ("amq.topic", ""),
    ):
        with pytest.raises(MalformedEvent):
            read_message(Message(UPLOAD, "immediate", "application/json", exchange=exchange, sender=sender))


def test_lifecycle_events_come_by_their_own_exchange():
    for exchange in (STORAGE_EVENTS, "amq.topic"):
        with pytest.raises(MalformedEvent):
            read_message(Message(done().body, "image.done", CONTENT_TYPE, exchange=exchange, sender="thumbnailer"))


def test_a_redriven_message_without_a_seal_has_no_sender():
    forged = {"x-routing-key": "image.done", "x-exchange": LIFECYCLE, "x-author": "thumbnailer", "x-seal": "0" * 64}
    reader = BrokerCredentials("status-tracker", "secret")
    message = Message.read(
        done().body, "status_tracker", CONTENT_TYPE, forged, exchange=RETRY, user_id="operator", reader=reader
    )
    with pytest.raises(MalformedEvent, match="user_id"):
        read_message(message)


def test_a_delivery_limit_is_accepted_from_the_dead_letter_queue_alone():
    with pytest.raises(MalformedEvent):
        read_message(
            Message.read(
                UPLOAD, "upload.requested", "application/json", LIMIT, exchange=LIFECYCLE, user_id="gateway"
            )
        )
