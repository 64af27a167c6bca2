import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from thumbmill.core.contracts.cloud_event import parse_lifecycle_event, to_cloud_event
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.contracts.events import Done, EventType, Failed, Processing, Removed
from thumbmill.core.contracts.failure import Failure
from thumbmill.core.contracts.identity import ObjectVersion, event_id, image_id_of, new_image_id, upload_key
from thumbmill.core.contracts.image_details import GeoPoint, ImageDetails
from thumbmill.core.contracts.interventions import DriftRepaired, ObjectRejected
from thumbmill.core.contracts.system_events import Watermark
from thumbmill.core.errors import MalformedEvent

VERSION = ObjectVersion("d41d8cd98f00b204e9800998ecf8427e", 12, 1790000000)
DETAILS = {
    "frames": 1,
    "has_alpha": False,
    "colour_space": "sRGB",
    "dominant_colour": "#336699",
    "thumbhash": "3OcRJYB4d3h/iIeHeEh3eIhw+j3A",
}


def done(**changes):
    properties = {"sha256": "ab" * 32, "width": 4, "height": 3, "format": "jpeg", "variants": []}
    return Done(**{"key": "a b", "object_version": VERSION, **properties, **changes})


def test_an_event_is_parsed_as_it_was_written():
    event = to_cloud_event(done(), by="thumbnailer", traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    assert parse_lifecycle_event(event.to_json()) == event


def test_the_envelope_is_cloudevents():
    body = json.loads(to_cloud_event(done(), by="thumbnailer").to_json())
    assert body["specversion"] == "1.0"
    assert body["type"] == "thumbmill.image.done.v1"
    assert body["subject"] == str(image_id_of("a b"))
    assert body["source"] == "/thumbnailer"
    assert datetime.fromisoformat(body["time"]).tzinfo is not None


def test_duplicates_have_one_id_and_different_events_have_different_ones():
    later = datetime(2030, 1, 1, tzinfo=UTC)
    assert to_cloud_event(done(), by="a").id == to_cloud_event(done(), by="b", now=later).id
    others = [
        to_cloud_event(event, by="a").id
        for event in (
            done(),
            done(attempt=2),
            done(run_id="2"),
            done(key="c"),
            done(object_version=ObjectVersion("d41d8cd98f00b204e9800998ecf8427e", 13, 1790000000)),
            Processing(key="a b", object_version=VERSION),
            Failed(key="a b", object_version=VERSION, error=Failure.from_code(ErrorCode.EMPTY_FILE)),
            Removed(key="a b", cause="1"),
            Removed(key="a b", cause="2"),
        )
    ]
    assert len(set(others)) == len(others)


def test_renamed_types_keep_their_former_names_in_ids():
    repaired = DriftRepaired(key="a b", object_version=VERSION, drift="missed", run_id="1")
    rejected = ObjectRejected(key="a b", object_version=VERSION)
    image_id = image_id_of("a b")
    assert to_cloud_event(repaired, by="a").id == event_id(image_id, "missed", "1", "tracker.healed")
    assert to_cloud_event(rejected, by="a").id == event_id(image_id, VERSION, "tracker.withdrawn")


def test_unknown_fields_are_ignored():
    body = json.loads(to_cloud_event(done(), by="thumbnailer").to_json())
    body["later"] = body["data"]["later"] = {"version": 2}
    assert parse_lifecycle_event(json.dumps(body).encode()).type is EventType.DONE


def test_a_watermark_is_about_no_image():
    event = parse_lifecycle_event(to_cloud_event(Watermark(), by="status-tracker").to_json())
    with pytest.raises(ValueError, match="badly formed"):
        _ = event.image_id


def changed(**changes):
    return json.dumps(json.loads(to_cloud_event(done(), by="thumbnailer").to_json()) | changes).encode()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        changed(type="thumbmill.image.done.v2"),
        changed(type="something.else.v1"),
        changed(specversion="0.3"),
        changed(data={"key": "a b"}),
        changed(data=None),
        changed(subject=str(new_image_id())),
        changed(id="1"),
    ],
)
def test_a_malformed_event_has_a_reason(body):
    with pytest.raises(MalformedEvent) as caught:
        parse_lifecycle_event(body)
    assert str(caught.value)


@pytest.mark.parametrize("event", [Processing(key="a b", object_version=VERSION), done(run_id="2026")])
def test_an_event_of_version_0_1_is_malformed_and_the_reason_names_the_field(event):
    body = json.loads(to_cloud_event(event, by="thumbnailer").to_json())
    former = {"object_version": "source", "run_id": "run"}
    body["data"] = {former.get(name, name): value for name, value in body["data"].items()}
    with pytest.raises(MalformedEvent, match="object_version: Field required"):
        parse_lifecycle_event(json.dumps(body).encode())


def test_an_event_of_a_version_without_details_is_accepted():
    body = json.loads(to_cloud_event(done(), by="thumbnailer").to_json())
    del body["data"]["details"], body["data"]["damaged"]
    data = parse_lifecycle_event(json.dumps(body).encode()).data
    assert (data.details, data.damaged) == (None, False)


@given(st.text(st.characters(exclude_categories=()), max_size=2000))
def test_texts_of_a_file_become_a_short_line(text):
    details = ImageDetails(**DETAILS, camera=text, lens="a\0b\n\N{RIGHT-TO-LEFT OVERRIDE}c", taken_at=" 2026 " * 99)
    assert details.lens == "a b c"
    for sanitized in (details.camera, details.taken_at):
        assert len(sanitized) <= 200
        assert not sanitized or sanitized.isprintable()
    event = to_cloud_event(done(details=details, damaged=True), by="thumbnailer")
    assert parse_lifecycle_event(event.to_json()) == event


@pytest.mark.parametrize("position", [(91, 0), (0, -181), (float("nan"), 0), (0, float("nan")), (0, float("inf"))])
def test_a_position_is_on_earth(position):
    with pytest.raises(ValidationError):
        GeoPoint(latitude=position[0], longitude=position[1])


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_malformed(body):
    with pytest.raises(MalformedEvent):
        parse_lifecycle_event(body)


def test_an_event_is_about_the_image_of_its_key():
    event = to_cloud_event(done(key=upload_key(new_image_id())), by="thumbnailer")
    assert str(event.image_id) in event.data.key


@pytest.mark.parametrize(
    ("detail", "sentence"),
    [
        ("", "The file has more bytes than the service accepts."),
        ("9 bytes, more than 8", "The file has more bytes than the service accepts: 9 bytes, more than 8."),
        ("A whole sentence.", "A whole sentence."),
    ],
)
def test_a_failure_has_a_sentence(detail, sentence):
    assert Failure.from_code(ErrorCode.FILE_TOO_LARGE, detail).detail == sentence
