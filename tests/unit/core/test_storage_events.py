"""Bucket notifications: recorded ones of MinIO, and arbitrary messages in the queue."""

import json
from datetime import UTC, datetime
from urllib.parse import quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.notifications import DATA, FORM_KEY, ODD_KEY, OWN_KEY, TRACEPARENT
from thumbmill.core.contracts.identity import ObjectVersion, event_id, image_id_of
from thumbmill.core.contracts.storage_events import parse_storage_events
from thumbmill.core.errors import MalformedEvent

JPEG = "9235a03ed19647ea1504bfe080649fd4"
EMPTY = "d41d8cd98f00b204e9800998ecf8427e"

# sample, name, key, ETag, size, file name
UPLOADS = [
    ("put", "ObjectCreated:Put", "beach.jpg", JPEG, 884, None),
    ("put_by_the_gateway", "ObjectCreated:Put", OWN_KEY, JPEG, 884, "café & bär.jpg"),
    ("put_odd_key", "ObjectCreated:Put", ODD_KEY, JPEG, 884, None),
    ("put_empty", "ObjectCreated:Put", "empty.jpg", EMPTY, 0, None),
    ("post_form", "ObjectCreated:Post", FORM_KEY, "1f86488e47f8f2ad5e1667f2cde9a146", 209, "form picture.png"),
    ("copy", "ObjectCreated:Copy", "copies/beach.jpg", JPEG, 884, None),
    (
        "multipart",
        "ObjectCreated:CompleteMultipartUpload",
        "panorama.png",
        "87a2493baf83e592ed8b1faa351e2eba-2",
        5243096,
        "panorama.png",
    ),
]
REMOVALS = [
    ("delete", "beach.jpg"),
    ("delete_odd_key", ODD_KEY),
    ("delete_many", "copies/beach.jpg"),
    ("delete_nothing", "never.jpg"),
]


def sample(name):
    return (DATA / f"{name}.json").read_bytes()


def read(name):
    [event] = parse_storage_events(sample(name))
    return event


@pytest.mark.parametrize(
    ("label", "batch"),
    [
        ("b-1_X", "b-1_X"),
        ("x" * 64, "x" * 64),
        ("x" * 65, None),
        ("", None),
        ("a b", None),
        ("é", None),
        ("a\n", None),
    ],
)
def test_a_batch_is_a_label_in_the_metadata(label, batch):
    body = json.loads(sample("put"))
    body["Records"][0]["s3"]["object"]["userMetadata"]["X-Amz-Meta-Batch"] = label
    [event] = parse_storage_events(json.dumps(body).encode())
    assert event.batch == batch


@pytest.mark.parametrize(("recorded", "name", "key", "etag", "size", "file_name"), UPLOADS)
def test_an_upload(recorded, name, key, etag, size, file_name):
    event = read(recorded)
    assert (event.name, event.key, event.file_name) == (name, key, file_name)
    assert (event.object_version.etag, event.object_version.size) == (etag, size)
    assert event.image_id == image_id_of(key)
    assert event.is_about_original
    assert not event.is_removal


@pytest.mark.parametrize(("recorded", "key"), REMOVALS)
def test_a_removal_has_no_object_version(recorded, key):
    event = read(recorded)
    assert (event.name, event.key, event.object_version) == ("ObjectRemoved:Delete", key, None)
    assert event.is_about_original
    assert event.is_removal


def test_every_recorded_notification_is_tested():
    tested = {row[0] for row in UPLOADS} | {row[0] for row in REMOVALS} | {"put_forged"}
    assert tested == {file.stem for file in DATA.glob("*.json")}


def test_the_date_is_that_of_the_object():
    event = read("put")
    nanoseconds = int("18EA45D2B98A8AAB", 16)
    assert event.sequencer == "18EA45D2B98A8AAB"
    assert event.object_version.modified == nanoseconds // 10**9
    assert event.occurred == datetime(2026, 11, 22, 5, 9, 32, 818877, UTC)


def test_a_forged_date_and_etag_are_normalized():
    event = read("put_forged")
    assert event.object_version == ObjectVersion("x2baf1f40105d9501fe319a8ec463fdf", 884, 7258118400)
    assert event.occurred == datetime(2200, 1, 1, tzinfo=UTC)


def test_metadata_of_the_gateway_is_read():
    event = read("put_by_the_gateway")
    assert event.traceparent == TRACEPARENT
    assert event.content_type == "image/jpeg"
    assert str(event.image_id) in OWN_KEY


def test_each_event_of_each_target_has_its_own_id():
    events = [read(name) for name, *_ in UPLOADS + REMOVALS]
    ids = {event.identity(target) for event in events for target in ("immediate", "durable")}
    assert len(ids) == 2 * len(events)
    assert read("put").identity("immediate") in ids


@pytest.mark.parametrize(("target", "former"), [("immediate", "instant"), ("durable", "ledger")])
def test_renamed_targets_keep_their_former_names_in_ids(target, former):
    event = read("put")
    assert event.identity(target) == event_id(former, event.name, event.bucket, event.key, event.sequencer)


def changed(**changes):
    """A recorded upload with another object, bucket or name."""
    body = json.loads(sample("put"))
    record = body["Records"][0]
    record["eventName"] = changes.pop("name", record["eventName"])
    record["s3"]["bucket"]["name"] = changes.pop("bucket", "images-original")
    record["s3"]["object"] |= changes
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"bucket": "images-processed"},
        {"bucket": "another"},
        {"name": "s3:ObjectAccessed:Get"},
        {"name": "s3:ObjectCreated:PutTagging"},
        {"name": "s3:ObjectRemoved:NoOP"},
        {"name": "s3:TestEvent"},
    ],
)
def test_an_event_about_anything_else_is_valid_and_not_about_an_original(changes):
    [event] = parse_storage_events(changed(**changes))
    assert not event.is_about_original


def test_several_records_are_several_events():
    body = json.loads(sample("put"))
    body["Records"] *= 100
    assert len(parse_storage_events(json.dumps(body).encode())) == 100


MALFORMED = {
    "nothing": b"",
    "not JSON": b"hello",
    "truncated": sample("put")[:500],
    "a byte order mark": b"\xef\xbb\xbf" + sample("put"),
    "another encoding": sample("put").decode().encode("utf-16"),
    "invalid UTF-8": sample("put").replace(b"beach", b"be\xffch"),
    "a lone surrogate": sample("put").replace(b"beach", rb"be\ud800ch"),
    "NaN": b"NaN",
    "a list": b"[]",
    "no records": b'{"Records": []}',
    "null": b'{"Records": null}',
    "invalid records": b'{"Records": [1, "x", null, []]}',
    "one invalid record": sample("put").replace(b'"Records":[', b'"Records":[{},'),
    "depth": b'{"Records":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a key that is not UTF-8": changed(key="%ff%fe.jpg"),
    "a key that is not text": changed(key=["beach.jpg"]),
    "no sequencer": changed(sequencer=""),
    "a sequencer that is not a number": changed(sequencer="yesterday"),
    "a sequencer that is a number": changed(sequencer=1795331372),
    "a size that is not a number": changed(size="big"),
    "a negative size": changed(size=-1),
    "a size beyond 63 bits": changed(size=2**63),
    **{f"a date out of range: 0x{n:X}": changed(sequencer=f"{n:X}") for n in (10**22, 10**26, 10**28, -(10**28))},
    "a date beyond floats": changed(sequencer="F" * 5000),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_notifications(body):
    with pytest.raises(MalformedEvent):
        parse_storage_events(body)


def read_or_reject(body):
    """The two permitted results; any other exception would delay good messages of the same batch."""
    try:
        return parse_storage_events(body)
    except MalformedEvent:
        return []


@given(st.binary())
def test_any_bytes(body):
    read_or_reject(body)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(SCALARS, lambda some: st.lists(some) | st.dictionaries(st.text(), some), max_leaves=5)
HEXES = st.integers(-(2**100), 2**100).map(lambda n: f"{n:X}")


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "key": st.text() | JSON,
            "size": st.integers() | JSON,
            "eTag": st.text() | JSON,
            "sequencer": HEXES | JSON,
            "contentType": st.text() | JSON,
            "userMetadata": st.dictionaries(st.text(), st.text()) | JSON,
            "name": st.text() | JSON,
            "bucket": st.text() | JSON,
        },
    )
)
@example({"sequencer": f"{10**26:X}"})
def test_any_value_in_any_field(changes):
    read_or_reject(changed(**changes))


@given(st.text(min_size=1), st.integers(0, 2**63 - 1), HEXES)
def test_every_key_is_decoded(key, size, sequencer):
    for event in read_or_reject(changed(key=quote_plus(key.encode(errors="replace")), size=size)):
        assert event.key == key.encode(errors="replace").decode()
        assert event.object_version.size == size


def test_a_folder_marker_is_a_removal():
    """Consoles create them: empty, with a slash at the end."""
    body = (DATA / "put_empty.json").read_text()
    (marker,) = parse_storage_events(body.replace("empty.jpg", "empty%2F").encode())
    assert (marker.key, marker.object_version, marker.is_removal, marker.is_about_original) == (
        "empty/",
        None,
        True,
        True,
    )
    (upload,) = parse_storage_events((DATA / "put.json").read_text().replace("beach.jpg", "beach%2F").encode())
    assert (upload.key, upload.is_removal) == ("beach/", False)
