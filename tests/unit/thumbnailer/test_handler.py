import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from itertools import permutations
from urllib.parse import quote_plus

import pytest

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.contracts.events import EventType
from thumbmill.core.contracts.identity import (
    ORIGINALS_BUCKET,
    VARIANTS_BUCKET,
    ObjectVersion,
    image_id_of,
    normalize_etag,
)
from thumbmill.core.errors import DependencyUnavailable, LaneBusy, MalformedEvent, RetryLater
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.retry_policy import decide
from thumbmill.core.metrics import IGNORED
from thumbmill.core.object_store.errors import InvalidKeyError, ObjectNotFoundError, PreconditionFailedError
from thumbmill.core.object_store.store import ObjectMetadata
from thumbmill.thumbnailer.handler import MAX_ATTEMPTS_ON_CHANGE, Thumbnailer
from thumbmill.thumbnailer.imaging.model import Details, EncodedVariant, ImageResult
from thumbmill.thumbnailer.metrics import OUTCOMES
from thumbmill.thumbnailer.sandbox.process import Decoded, Rejected
from thumbmill.thumbnailer.variants import VariantStore

KEY = "holiday/ä b+c 100%.jpg"
TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
MAX_BYTES = 1000
DETAILS = Details(1, has_alpha=False, colour_space="sRGB", dominant_colour="#808080", thumbhash="")


class Bucket:
    """Both buckets in memory. ``when`` runs a function just before or after a call of the handler."""

    def __init__(self):
        self.objects = {}
        self.calls = []
        self.clock = 1_790_000_000
        self._plans = []

    def upload(self, data, key=KEY, etag=None):
        self.clock += 1
        self.objects[ORIGINALS_BUCKET, key] = (data, etag or hashlib.md5(data).hexdigest(), self.clock)  # noqa: S324
        return created(data, key=key, etag=etag, second=self.clock)

    def remove(self, key=KEY):
        self.objects.pop((ORIGINALS_BUCKET, key), None)
        self.clock += 1
        return removed(key=key, second=self.clock)

    def variants(self):
        return sorted(key for bucket, key in self.objects if bucket == VARIANTS_BUCKET)

    def when(self, call, do, *, times=1, after=False):
        self._plans.append({"call": call, "do": do, "times": times, "after": after})

    @contextmanager
    def _called(self, call):
        self.calls.append(call)
        self._run_plans(call, after=False)
        yield
        self._run_plans(call, after=True)

    def _run_plans(self, call, *, after):
        for plan in self._plans:
            if plan["call"] == call and plan["after"] is after and plan["times"]:
                plan["times"] -= 1
                plan["do"]()

    def _find(self, bucket, key):
        if "//" in key:
            raise InvalidKeyError(key)
        if (bucket, key) not in self.objects:
            raise ObjectNotFoundError(key)
        data, etag, modified = self.objects[bucket, key]
        metadata = {"file-name": "caf%C3%A9.jpg"}
        return data, ObjectMetadata(
            ObjectVersion(normalize_etag(etag), len(data), modified), etag, "image/jpeg", metadata
        )

    def head(self, bucket, key):
        with self._called("head"):
            return self._find(bucket, key)[1]

    @contextmanager
    def open(self, bucket, key, *, etag=None):
        with self._called("open"):
            data, head = self._find(bucket, key)
            if etag and head.object_version.etag != etag:
                raise PreconditionFailedError(key)
        yield head, BytesIO(data)

    def put(self, bucket, key, data, content_type):
        assert content_type.startswith("image/")
        with self._called("put"):
            self.objects[bucket, key] = (data, "0" * 32, self.clock)

    def list_keys(self, bucket, prefix):
        with self._called("keys"):
            return [key for place, key in self.objects if place == bucket and key.startswith(prefix)]

    def delete_all(self, bucket, keys):
        with self._called("delete_all"):
            for key in keys:
                self.objects.pop((bucket, key), None)


class Publisher:
    """Records published events."""

    def __init__(self):
        self.events = []

    def publish_event(self, event):
        self.events.append(event)

    publish_unconfirmed = publish_event

    @property
    def kinds(self):
        return [event.type for event in self.events]


class Harness:
    """A handler with fakes of all that it uses."""

    def __init__(self):
        self.bucket = Bucket()
        self.publisher = Publisher()
        variants = VariantStore(self.bucket, "v7", ThreadPoolExecutor(2))  # has no thread before its first call
        self.thumbnailer = Thumbnailer(self.bucket, variants, self, MAX_BYTES)
        self.results, self.turns, self.slow = [], [], []

    def check_slow_slot(self):
        if self.turns:
            raise self.turns.pop(0)

    def decode(self, data, *, slow):
        self.slow.append(slow)
        if self.results:
            result = self.results.pop(0)
            if isinstance(result, Exception):
                raise result
            return result
        variant = EncodedVariant("thumbnail", "image/jpeg", 4, 3, b"small " + data)
        return Decoded(ImageResult("JPEG", 40, 30, [variant], DETAILS), hashlib.sha256(data).hexdigest())

    def handle(self, *records, attempt=1):
        self.publisher.events.clear()
        self.thumbnailer.handle(message(*records, attempt=attempt), self.publisher)
        return self.publisher.kinds

    def fail(self, error, *records, attempt=1, possible_poison=False):
        self.publisher.events.clear()
        verdict = decide(error, attempt=attempt, deferrals=0, possible_poison=possible_poison)
        if verdict.is_failed_attempt:  # as the runtime does
            self.thumbnailer.on_failure(message(*records, attempt=attempt), verdict, self.publisher)
        return self.publisher.kinds


@pytest.fixture
def harness():
    return Harness()


def record(name, key, second, bucket=ORIGINALS_BUCKET, **fields):
    sequencer = f"{second * 10**9:X}"
    stored_object = {
        "key": quote_plus(key),
        "sequencer": sequencer,
        "userMetadata": {"X-Amz-Meta-Traceparent": TRACE},
        **fields,
    }
    return {"eventName": f"s3:{name}", "s3": {"bucket": {"name": bucket}, "object": stored_object}}


def created(data=b"one", key=KEY, etag=None, second=1_790_000_000, **changes):
    etag = etag or hashlib.md5(data).hexdigest()  # noqa: S324
    return record("ObjectCreated:Put", key, second, size=len(data), eTag=etag, **changes)


def removed(key=KEY, second=1_790_000_000):
    return record("ObjectRemoved:Delete", key, second)


def message(*records, attempt=1):
    return Message(json.dumps({"Records": records}).encode(), "immediate", "application/json", attempt=attempt)


def variant(data, key=KEY):
    return f"{image_id_of(key)}/{hashlib.sha256(data).hexdigest()[:16]}-v7/thumbnail.jpg"


PROCESSING, DONE, FAILED, REMOVED = EventType.PROCESSING, EventType.DONE, EventType.FAILED, EventType.REMOVED


# --- uploads ---------------------------------------------------------------------------------------------------


def test_an_upload_is_processed_and_published(harness):
    event = harness.bucket.upload(b"one")
    assert harness.handle(event, attempt=2) == [PROCESSING, DONE]
    assert harness.bucket.variants() == [variant(b"one")]
    processing, done = harness.publisher.events
    assert (
        done.data.object_version
        == processing.data.object_version
        == harness.bucket.head(ORIGINALS_BUCKET, KEY).object_version
    )
    assert done.data.sha256 == hashlib.sha256(b"one").hexdigest()
    assert (done.data.format, done.data.width, done.data.height) == ("JPEG", 40, 30)
    assert (done.data.file_name, done.data.content_type, done.data.attempt) == ("café.jpg", "image/jpeg", 2)
    (made,) = done.data.variants
    assert (made.type, made.key, made.width, made.height, made.bytes) == ("thumbnail", variant(b"one"), 4, 3, 9)
    assert {event.traceparent for event in harness.publisher.events} == {TRACE}
    assert {event.subject for event in harness.publisher.events} == {str(image_id_of(KEY))}


def test_the_bucket_is_checked_once_more_before_publishing(harness):
    harness.handle(harness.bucket.upload(b"one"))
    assert harness.bucket.calls == ["open", "put", "head"]


def test_the_same_event_again_has_the_same_result(harness):
    event = harness.bucket.upload(b"one")
    harness.handle(event)
    first = [event.id for event in harness.publisher.events]
    harness.handle(event)
    assert [event.id for event in harness.publisher.events] == first
    assert harness.bucket.variants() == [variant(b"one")]


def test_a_redriven_message_publishes_new_events_of_its_run(harness):
    event = harness.bucket.upload(b"one")
    harness.handle(event)
    again = Message(message(event).body, "immediate", "application/json", sticky_headers={"x-run": "2026"})
    harness.thumbnailer.handle(again, harness.publisher)
    published = harness.publisher.events
    assert [event.data.run_id for event in published] == ["", "", "2026", "2026"]
    assert len({event.id for event in published}) == 4


def test_a_replaced_upload_is_left_to_the_newer_event(harness):
    old = harness.bucket.upload(b"one")
    new = harness.bucket.upload(b"two")
    assert harness.handle(old) == []
    assert harness.handle(new) == [PROCESSING, DONE]
    assert harness.bucket.variants() == [variant(b"two")]


def test_the_same_bytes_uploaded_again_are_published_with_the_current_version(harness):
    old = harness.bucket.upload(b"one")
    harness.bucket.upload(b"one")
    assert harness.handle(old) == [PROCESSING, DONE]
    assert harness.publisher.events[-1].data.object_version.modified == harness.bucket.clock


def test_a_forged_etag_is_accepted(harness):
    event = harness.bucket.upload(b"one", etag="deadbeef")
    assert harness.handle(event) == [PROCESSING, DONE]
    harness.bucket.upload(b"two", etag="beefdead")
    assert harness.handle(event) == []


def test_a_deleted_upload_is_published_as_removed(harness):
    event = harness.bucket.upload(b"one")
    harness.bucket.remove()
    assert harness.handle(event) == [REMOVED]
    assert harness.publisher.events[0].data.cause == event["s3"]["object"]["sequencer"]


def test_variants_of_an_interrupted_delivery_are_deleted_with_the_original(harness):
    event = harness.bucket.upload(b"one")
    harness.bucket.when("put", lambda: (_ for _ in ()).throw(KeyboardInterrupt), after=True)  # killed after the put
    with pytest.raises(KeyboardInterrupt):
        harness.handle(event)
    harness.bucket.remove()
    assert harness.handle(event) == [REMOVED]
    assert harness.bucket.variants() == []


@pytest.mark.parametrize(("call", "after"), [("put", False), ("put", True)])
def test_an_object_deleted_meanwhile_leaves_no_variant(harness, call, after):
    event = harness.bucket.upload(b"one")
    harness.bucket.when(call, harness.bucket.remove, after=after)
    assert harness.handle(event) == [PROCESSING, REMOVED]
    assert harness.bucket.variants() == []


@pytest.mark.parametrize(("call", "after"), [("put", False), ("put", True)])
def test_an_object_replaced_meanwhile_is_processed_again(harness, call, after):
    event = harness.bucket.upload(b"one")
    harness.bucket.when(call, lambda: harness.bucket.upload(b"two"), after=after)
    assert harness.handle(event) == [PROCESSING, PROCESSING, DONE]
    assert harness.bucket.variants() == [variant(b"two")]
    assert (
        harness.publisher.events[-1].data.object_version
        == harness.bucket.head(ORIGINALS_BUCKET, KEY).object_version
    )


def test_an_object_that_keeps_changing_is_delayed(harness):
    event = harness.bucket.upload(b"0")
    numbers = iter(range(1, 100))
    harness.bucket.when("put", lambda: harness.bucket.upload(b"%d" % next(numbers)), times=100)
    with pytest.raises(RetryLater, match=str(MAX_ATTEMPTS_ON_CHANGE)):
        harness.handle(event)
    assert harness.publisher.kinds == [PROCESSING] * MAX_ATTEMPTS_ON_CHANGE
    assert harness.bucket.variants() == []


def test_two_workers_on_one_key_end_with_the_right_variant(harness):
    """The deletion's worker deletes what the new upload's worker has just written, and creates it again."""
    harness.handle(harness.bucket.upload(b"one"))
    removal = harness.bucket.remove()
    new = harness.bucket.upload(b"two")
    other = Publisher()
    harness.bucket.when("keys", lambda: harness.thumbnailer.handle(message(new), other))
    assert harness.handle(removal) == [PROCESSING, DONE]
    assert harness.bucket.variants() == [variant(b"two")]
    assert [event.id for event in other.events] == [event.id for event in harness.publisher.events]


# --- deletions-------------------------------------------------------------------------------------------------


def test_a_deletion_removes_the_variants_of_every_generation(harness):
    harness.handle(harness.bucket.upload(b"one"))
    harness.handle(harness.bucket.upload(b"two"))
    harness.handle(harness.bucket.upload(b"other", key="other"))
    assert harness.handle(harness.bucket.remove()) == [REMOVED]
    assert harness.bucket.variants() == [variant(b"other", key="other")]


def test_a_deletion_of_an_object_that_exists_again_processes_it(harness):
    harness.handle(harness.bucket.upload(b"one"))
    removal = harness.bucket.remove()
    harness.bucket.upload(b"two")
    assert harness.handle(removal) == [PROCESSING, DONE]
    assert harness.bucket.variants() == [variant(b"two")]


def test_a_deletion_without_variants_is_published_too(harness):
    assert harness.handle(removed()) == [REMOVED]


@pytest.mark.parametrize("final", ["one", "two", "none"])
def test_events_in_any_order_end_with_the_state_of_the_bucket(final):
    for order in permutations(range(3)):
        harness = Harness()
        put_one, put_two = harness.bucket.upload(b"one"), harness.bucket.upload(b"two")
        delete = harness.bucket.remove()
        if final != "none":
            harness.bucket.upload(b"two" if final == "two" else b"one")
        events = [put_one, put_two, delete]
        kinds = [kind for n in order for kind in harness.handle(events[n])]
        expected = {"one": [variant(b"one")], "two": [variant(b"two")], "none": []}
        assert harness.bucket.variants() == expected[final], order
        assert (DONE in kinds) is (final != "none"), order


# --- failures --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"), [(b"", ErrorCode.EMPTY_FILE), (b"x" * (MAX_BYTES + 1), ErrorCode.FILE_TOO_LARGE)]
)
def test_a_file_of_an_invalid_size_is_rejected_unread(harness, data, code):
    event = harness.bucket.upload(data)
    harness.results = [AssertionError("decoded")]
    assert harness.handle(event) == [PROCESSING, FAILED]
    assert harness.publisher.events[-1].data.error.code is code


def test_a_rejected_image_is_published_as_failed_with_its_reason(harness):
    event = harness.bucket.upload(b"one")
    harness.results = [Rejected(ErrorCode.UNREADABLE_IMAGE, "cut short")]
    assert harness.handle(event) == [PROCESSING, FAILED]
    failed = harness.publisher.events[-1].data
    assert failed.error.code is ErrorCode.UNREADABLE_IMAGE
    assert failed.error.detail.endswith("damaged or incomplete: cut short.")
    assert failed.object_version == harness.bucket.head(ORIGINALS_BUCKET, KEY).object_version


def test_a_rejected_image_that_was_deleted_meanwhile_has_not_failed(harness):
    event = harness.bucket.upload(b"one")
    harness.results = [Rejected(ErrorCode.UNREADABLE_IMAGE)]
    harness.bucket.when("head", harness.bucket.remove)
    assert harness.handle(event) == [PROCESSING, REMOVED]


def test_a_rejected_image_that_was_replaced_meanwhile_has_not_failed(harness):
    event = harness.bucket.upload(b"one")
    harness.results = [Rejected(ErrorCode.UNREADABLE_IMAGE)]
    harness.bucket.when("head", lambda: harness.bucket.upload(b"two"))
    assert harness.handle(event) == [PROCESSING, PROCESSING, DONE]


def test_an_unavailable_store_does_not_fail_the_image(harness):
    event = harness.bucket.upload(b"one")
    harness.bucket.when("put", lambda: (_ for _ in ()).throw(DependencyUnavailable("minio")))
    with pytest.raises(DependencyUnavailable):
        harness.handle(event)
    assert harness.publisher.kinds == [PROCESSING]


# --- ignored events --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (record("ObjectCreated:Put", KEY, 1, bucket=VARIANTS_BUCKET, eTag="0" * 32), "other bucket"),
        (record("ObjectCreated:PutTagging", KEY, 1, eTag="0" * 32), "other event"),
        (record("ObjectAccessed:Get", KEY, 1, eTag="0" * 32), "other event"),
        (record("ObjectRemoved:NoOP", KEY, 1), "other event"),
    ],
)
def test_events_of_other_buckets_and_types_are_counted_and_ignored(harness, other, reason):
    before = IGNORED.labels(reason)._value.get()  # noqa: SLF001
    assert harness.handle(other) == []
    assert harness.bucket.calls == []
    assert IGNORED.labels(reason)._value.get() == before + 1  # noqa: SLF001


def test_every_record_of_a_message_is_processed_though_one_fails(harness):
    events = [
        harness.bucket.upload(b"", key="empty"),
        harness.bucket.upload(b"one"),
        record("ObjectAccessed:Get", "x", 1),
    ]
    assert harness.handle(*events) == [PROCESSING, FAILED, PROCESSING, DONE]
    assert harness.publisher.events[1].data.error.code is ErrorCode.EMPTY_FILE


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff\xfe", b'{"Records": []}', b'{"Records": [{}]}'])
def test_a_malformed_body_raises(harness, body):
    with pytest.raises(MalformedEvent):
        harness.thumbnailer.handle(Message(body, "immediate", "application/json"), harness.publisher)


def test_an_event_about_an_invalid_key_is_malformed(harness):
    with pytest.raises(MalformedEvent, match="a//b"):
        harness.handle(created(key="a//b"))


# --- on_failure ------------------------------------------------------------------------------------------------


def test_a_failed_attempt_is_published_with_the_time_of_the_next(harness):
    event = harness.bucket.upload(b"one")
    before = datetime.now(UTC)
    assert harness.fail(KeyError("x"), event, attempt=2) == [EventType.RETRYING]
    (retrying,) = harness.publisher.events
    assert retrying.data.attempt == 2
    assert retrying.data.reason == "KeyError: 'x'"
    waits = retrying.data.next_attempt_at - before
    assert timedelta(seconds=30) <= waits < timedelta(seconds=40)
    assert retrying.traceparent == TRACE


@pytest.mark.parametrize(("attempt", "suspect"), [(4, False), (1, True)])
def test_the_last_attempt_ends_in_failed(harness, attempt, suspect):
    event = harness.bucket.upload(b"one")
    assert harness.fail(KeyError("x"), event, attempt=attempt, possible_poison=suspect) == [FAILED]
    failed = harness.publisher.events[0].data
    assert (failed.error.code, failed.error.retryable, failed.attempt) == (
        ErrorCode.ATTEMPTS_EXHAUSTED,
        True,
        attempt,
    )


@pytest.mark.parametrize("attempt", [1, 4])
def test_a_failed_attempt_at_a_deleted_or_replaced_object_is_not_published(harness, attempt):
    event = harness.bucket.upload(b"one")
    harness.bucket.upload(b"two")
    assert harness.fail(KeyError("x"), event, attempt=attempt) == []
    removal = harness.bucket.remove()
    assert harness.fail(KeyError("x"), event, attempt=attempt) == []
    assert harness.fail(KeyError("x"), removal, attempt=attempt) == []


def test_a_delay_that_costs_no_attempt_is_not_reported(harness):
    assert harness.fail(RetryLater("busy"), harness.bucket.upload(b"one")) == []


# --- slow images -----------------------------------------------------------------------------------------------


def slow_message(*records):
    return replace(message(*records), sticky_headers={"x-lane": "slow"})


def test_a_message_s_lane_selects_the_slow_lane(harness):
    event = harness.bucket.upload(b"one")
    harness.handle(event)
    harness.thumbnailer.handle(slow_message(event), harness.publisher)
    assert harness.slow == [False, True]


def test_a_slow_image_without_a_slot_costs_no_download(harness):
    event = harness.bucket.upload(b"one")
    harness.turns = [LaneBusy("full", "slow")]
    with pytest.raises(LaneBusy):
        harness.thumbnailer.handle(slow_message(event), harness.publisher)
    assert (harness.bucket.calls, harness.publisher.events) == ([], [])
    harness.thumbnailer.handle(slow_message(event), harness.publisher)
    assert harness.publisher.kinds == [PROCESSING, DONE]


def test_an_image_that_turns_out_to_be_slow_publishes_only_processing(harness):
    harness.results = [LaneBusy("full", "slow")]
    with pytest.raises(LaneBusy) as raised:
        harness.handle(event := harness.bucket.upload(b"one"))
    assert harness.publisher.kinds == [PROCESSING]
    assert harness.fail(raised.value, event) == [], "it costs no attempt, so nothing is published"


# --- outcomes --------------------------------------------------------------------------------------------------


def count(outcome):
    return OUTCOMES.labels(outcome)._value.get()  # noqa: SLF001


def test_every_event_is_counted_by_its_outcome(harness):
    old = harness.bucket.upload(b"one")
    events = {
        "superseded": old,
        "done": harness.bucket.upload(b"two"),
        "failed": harness.bucket.upload(b"", key="empty"),
    }
    before = {outcome: count(outcome) for outcome in (*events, "removed")}
    harness.handle(*events.values())
    harness.handle(harness.bucket.remove())
    assert {outcome: count(outcome) - before[outcome] for outcome in before} == dict.fromkeys(before, 1)
