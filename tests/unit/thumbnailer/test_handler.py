import hashlib
import json
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
    """Both buckets in memory. ``when`` has something happen just before or after a call of the handler's."""

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
        self._carry_out(call, after=False)
        yield
        self._carry_out(call, after=True)

    def _carry_out(self, call, *, after):
        for plan in self._plans:
            if plan["call"] == call and plan["after"] is after and plan["times"]:
                plan["times"] -= 1
                plan["do"]()

    def _look_up(self, bucket, key):
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
            return self._look_up(bucket, key)[1]

    @contextmanager
    def open(self, bucket, key, *, etag=None):
        with self._called("open"):
            data, head = self._look_up(bucket, key)
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
    """Remembers what was said."""

    def __init__(self):
        self.said = []

    def publish_event(self, event):
        self.said.append(event)

    publish_unconfirmed = publish_event

    @property
    def kinds(self):
        return [event.type for event in self.said]


class Bench:
    """A handler with everything around it."""

    def __init__(self):
        self.bucket = Bucket()
        self.publisher = Publisher()
        self.thumbnailer = Thumbnailer(self.bucket, VariantStore(self.bucket, "v7"), self, MAX_BYTES)
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
        rendition = EncodedVariant("thumbnail", "image/jpeg", 4, 3, b"small " + data)
        return Decoded(ImageResult("JPEG", 40, 30, [rendition], DETAILS), hashlib.sha256(data).hexdigest())

    def handle(self, *records, attempt=1):
        self.publisher.said.clear()
        self.thumbnailer.handle(message(*records, attempt=attempt), self.publisher)
        return self.publisher.kinds

    def fail(self, fault, *records, attempt=1, possible_poison=False):
        self.publisher.said.clear()
        verdict = decide(fault, attempt=attempt, deferrals=0, possible_poison=possible_poison)
        if verdict.is_failed_attempt:  # as the runtime does
            self.thumbnailer.on_failure(message(*records, attempt=attempt), verdict, self.publisher)
        return self.publisher.kinds


@pytest.fixture
def bench():
    return Bench()


def record(name, key, second, bucket=ORIGINALS_BUCKET, **thing):
    sequencer = f"{second * 10**9:X}"
    thing = {
        "key": quote_plus(key),
        "sequencer": sequencer,
        "userMetadata": {"X-Amz-Meta-Traceparent": TRACE},
        **thing,
    }
    return {"eventName": f"s3:{name}", "s3": {"bucket": {"name": bucket}, "object": thing}}


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


def test_an_upload_becomes_a_variant_and_is_told(bench):
    event = bench.bucket.upload(b"one")
    assert bench.handle(event, attempt=2) == [PROCESSING, DONE]
    assert bench.bucket.variants() == [variant(b"one")]
    processing, done = bench.publisher.said
    assert (
        done.data.object_version
        == processing.data.object_version
        == bench.bucket.head(ORIGINALS_BUCKET, KEY).object_version
    )
    assert done.data.sha256 == hashlib.sha256(b"one").hexdigest()
    assert (done.data.format, done.data.width, done.data.height) == ("JPEG", 40, 30)
    assert (done.data.file_name, done.data.content_type, done.data.attempt) == ("café.jpg", "image/jpeg", 2)
    (made,) = done.data.variants
    assert (made.type, made.key, made.width, made.height, made.bytes) == ("thumbnail", variant(b"one"), 4, 3, 9)
    assert {event.traceparent for event in bench.publisher.said} == {TRACE}
    assert {event.subject for event in bench.publisher.said} == {str(image_id_of(KEY))}


def test_the_bucket_is_asked_once_more_between_the_variant_and_the_word(bench):
    bench.handle(bench.bucket.upload(b"one"))
    assert bench.bucket.calls == ["open", "put", "head"]


def test_the_same_event_again_does_and_says_the_same(bench):
    event = bench.bucket.upload(b"one")
    bench.handle(event)
    first = [said.id for said in bench.publisher.said]
    bench.handle(event)
    assert [said.id for said in bench.publisher.said] == first
    assert bench.bucket.variants() == [variant(b"one")]


def test_a_redriven_message_s_facts_are_new_ones_of_its_run(bench):
    event = bench.bucket.upload(b"one")
    bench.handle(event)
    again = Message(message(event).body, "immediate", "application/json", sticky_headers={"x-run": "2026"})
    bench.thumbnailer.handle(again, bench.publisher)
    said = bench.publisher.said
    assert [one.data.run_id for one in said] == ["", "", "2026", "2026"]
    assert len({one.id for one in said}) == 4


def test_an_upload_that_was_replaced_is_left_to_the_newer_event(bench):
    old = bench.bucket.upload(b"one")
    new = bench.bucket.upload(b"two")
    assert bench.handle(old) == []
    assert bench.handle(new) == [PROCESSING, DONE]
    assert bench.bucket.variants() == [variant(b"two")]


def test_the_same_bytes_uploaded_again_are_told_with_the_bucket_s_word(bench):
    old = bench.bucket.upload(b"one")
    bench.bucket.upload(b"one")
    assert bench.handle(old) == [PROCESSING, DONE]
    assert bench.publisher.said[-1].data.object_version.modified == bench.bucket.clock


def test_a_forged_etag_is_an_etag(bench):
    event = bench.bucket.upload(b"one", etag="deadbeef")
    assert bench.handle(event) == [PROCESSING, DONE]
    bench.bucket.upload(b"two", etag="beefdead")
    assert bench.handle(event) == []


def test_an_upload_that_is_gone_is_told_as_removed(bench):
    event = bench.bucket.upload(b"one")
    bench.bucket.remove()
    assert bench.handle(event) == [REMOVED]
    assert bench.publisher.said[0].data.cause == event["s3"]["object"]["sequencer"]


def test_what_an_earlier_delivery_left_goes_with_the_original(bench):
    event = bench.bucket.upload(b"one")
    bench.bucket.when("put", lambda: (_ for _ in ()).throw(KeyboardInterrupt), after=True)  # killed after the put
    with pytest.raises(KeyboardInterrupt):
        bench.handle(event)
    bench.bucket.remove()
    assert bench.handle(event) == [REMOVED]
    assert bench.bucket.variants() == []


@pytest.mark.parametrize(("call", "after"), [("put", False), ("put", True)])
def test_an_object_removed_meanwhile_leaves_no_variant(bench, call, after):
    event = bench.bucket.upload(b"one")
    bench.bucket.when(call, bench.bucket.remove, after=after)
    assert bench.handle(event) == [PROCESSING, REMOVED]
    assert bench.bucket.variants() == []


@pytest.mark.parametrize(("call", "after"), [("put", False), ("put", True)])
def test_an_object_replaced_meanwhile_is_made_anew(bench, call, after):
    event = bench.bucket.upload(b"one")
    bench.bucket.when(call, lambda: bench.bucket.upload(b"two"), after=after)
    assert bench.handle(event) == [PROCESSING, PROCESSING, DONE]
    assert bench.bucket.variants() == [variant(b"two")]
    assert bench.publisher.said[-1].data.object_version == bench.bucket.head(ORIGINALS_BUCKET, KEY).object_version


def test_an_object_that_never_rests_waits(bench):
    event = bench.bucket.upload(b"0")
    numbers = iter(range(1, 100))
    bench.bucket.when("put", lambda: bench.bucket.upload(b"%d" % next(numbers)), times=100)
    with pytest.raises(RetryLater, match=str(MAX_ATTEMPTS_ON_CHANGE)):
        bench.handle(event)
    assert bench.publisher.kinds == [PROCESSING] * MAX_ATTEMPTS_ON_CHANGE
    assert bench.bucket.variants() == []


def test_two_workers_on_one_key_end_with_the_right_variant(bench):
    """The removal's worker withdraws what the new upload's worker has just written, and makes it again."""
    bench.handle(bench.bucket.upload(b"one"))
    removal = bench.bucket.remove()
    new = bench.bucket.upload(b"two")
    other = Publisher()
    bench.bucket.when("keys", lambda: bench.thumbnailer.handle(message(new), other))
    assert bench.handle(removal) == [PROCESSING, DONE]
    assert bench.bucket.variants() == [variant(b"two")]
    assert [event.id for event in other.said] == [event.id for event in bench.publisher.said]


# --- removals --------------------------------------------------------------------------------------------------


def test_a_removal_takes_the_variants_of_every_generation(bench):
    bench.handle(bench.bucket.upload(b"one"))
    bench.handle(bench.bucket.upload(b"two"))
    bench.handle(bench.bucket.upload(b"other", key="other"))
    assert bench.handle(bench.bucket.remove()) == [REMOVED]
    assert bench.bucket.variants() == [variant(b"other", key="other")]


def test_a_removal_of_something_that_is_there_again_makes_it(bench):
    bench.handle(bench.bucket.upload(b"one"))
    removal = bench.bucket.remove()
    bench.bucket.upload(b"two")
    assert bench.handle(removal) == [PROCESSING, DONE]
    assert bench.bucket.variants() == [variant(b"two")]


def test_a_removal_of_nothing_is_told_too(bench):
    assert bench.handle(removed()) == [REMOVED]


@pytest.mark.parametrize("final", ["one", "two", "gone"])
def test_saved_events_in_any_order_end_with_what_the_bucket_calls_for(final):
    for order in permutations(range(3)):
        bench = Bench()
        put_one, put_two = bench.bucket.upload(b"one"), bench.bucket.upload(b"two")
        delete = bench.bucket.remove()
        if final != "gone":
            bench.bucket.upload(b"two" if final == "two" else b"one")
        events = [put_one, put_two, delete]
        kinds = [kind for n in order for kind in bench.handle(events[n])]
        expected = {"one": [variant(b"one")], "two": [variant(b"two")], "gone": []}
        assert bench.bucket.variants() == expected[final], order
        assert (DONE in kinds) is (final != "gone"), order


# --- failures --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"), [(b"", ErrorCode.EMPTY_FILE), (b"x" * (MAX_BYTES + 1), ErrorCode.FILE_TOO_LARGE)]
)
def test_a_file_of_an_impossible_size_is_given_up_unread(bench, data, code):
    event = bench.bucket.upload(data)
    bench.results = [AssertionError("decoded")]
    assert bench.handle(event) == [PROCESSING, FAILED]
    assert bench.publisher.said[-1].data.error.code is code


def test_a_bad_picture_is_told_with_its_reason_before_it_is_given_up(bench):
    event = bench.bucket.upload(b"one")
    bench.results = [Rejected(ErrorCode.UNREADABLE_IMAGE, "cut short")]
    assert bench.handle(event) == [PROCESSING, FAILED]
    failed = bench.publisher.said[-1].data
    assert failed.error.code is ErrorCode.UNREADABLE_IMAGE
    assert failed.error.detail.endswith("damaged or incomplete: cut short.")
    assert failed.object_version == bench.bucket.head(ORIGINALS_BUCKET, KEY).object_version


def test_a_bad_picture_that_was_removed_meanwhile_has_not_failed(bench):
    event = bench.bucket.upload(b"one")
    bench.results = [Rejected(ErrorCode.UNREADABLE_IMAGE)]
    bench.bucket.when("head", bench.bucket.remove)
    assert bench.handle(event) == [PROCESSING, REMOVED]


def test_a_bad_picture_that_was_replaced_meanwhile_has_not_failed(bench):
    event = bench.bucket.upload(b"one")
    bench.results = [Rejected(ErrorCode.UNREADABLE_IMAGE)]
    bench.bucket.when("head", lambda: bench.bucket.upload(b"two"))
    assert bench.handle(event) == [PROCESSING, PROCESSING, DONE]


def test_a_store_that_is_away_is_no_fault_of_the_picture_s(bench):
    event = bench.bucket.upload(b"one")
    bench.bucket.when("put", lambda: (_ for _ in ()).throw(DependencyUnavailable("minio")))
    with pytest.raises(DependencyUnavailable):
        bench.handle(event)
    assert bench.publisher.kinds == [PROCESSING]


# --- what is not for us ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (record("ObjectCreated:Put", KEY, 1, bucket=VARIANTS_BUCKET, eTag="0" * 32), "other bucket"),
        (record("ObjectCreated:PutTagging", KEY, 1, eTag="0" * 32), "other event"),
        (record("ObjectAccessed:Get", KEY, 1, eTag="0" * 32), "other event"),
        (record("ObjectRemoved:NoOP", KEY, 1), "other event"),
    ],
)
def test_events_that_are_not_for_us_are_counted_and_left(bench, other, reason):
    before = IGNORED.labels(reason)._value.get()  # noqa: SLF001
    assert bench.handle(other) == []
    assert bench.bucket.calls == []
    assert IGNORED.labels(reason)._value.get() == before + 1  # noqa: SLF001


def test_every_record_of_a_message_is_followed_though_one_fails(bench):
    events = [
        bench.bucket.upload(b"", key="empty"),
        bench.bucket.upload(b"one"),
        record("ObjectAccessed:Get", "x", 1),
    ]
    assert bench.handle(*events) == [PROCESSING, FAILED, PROCESSING, DONE]
    assert bench.publisher.said[1].data.error.code is ErrorCode.EMPTY_FILE


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff\xfe", b'{"Records": []}', b'{"Records": [{}]}'])
def test_garbage_is_no_event(bench, body):
    with pytest.raises(MalformedEvent):
        bench.thumbnailer.handle(Message(body, "immediate", "application/json"), bench.publisher)


def test_an_event_about_a_key_that_cannot_be_is_no_event(bench):
    with pytest.raises(MalformedEvent, match="a//b"):
        bench.handle(created(key="a//b"))


# --- announcing ------------------------------------------------------------------------------------------------


def test_an_attempt_that_failed_is_told_with_the_next_one_s_time(bench):
    event = bench.bucket.upload(b"one")
    before = datetime.now(UTC)
    assert bench.fail(KeyError("x"), event, attempt=2) == [EventType.RETRYING]
    (retrying,) = bench.publisher.said
    assert retrying.data.attempt == 2
    assert retrying.data.reason == "KeyError: 'x'"
    waits = retrying.data.next_attempt_at - before
    assert timedelta(seconds=30) <= waits < timedelta(seconds=40)
    assert retrying.traceparent == TRACE


@pytest.mark.parametrize(("attempt", "suspect"), [(4, False), (1, True)])
def test_the_last_attempt_ends_in_failed(bench, attempt, suspect):
    event = bench.bucket.upload(b"one")
    assert bench.fail(KeyError("x"), event, attempt=attempt, possible_poison=suspect) == [FAILED]
    failed = bench.publisher.said[0].data
    assert (failed.error.code, failed.error.retryable, failed.attempt) == (
        ErrorCode.ATTEMPTS_EXHAUSTED,
        True,
        attempt,
    )


@pytest.mark.parametrize("attempt", [1, 4])
def test_an_attempt_at_what_is_gone_or_replaced_is_not_told(bench, attempt):
    event = bench.bucket.upload(b"one")
    bench.bucket.upload(b"two")
    assert bench.fail(KeyError("x"), event, attempt=attempt) == []
    removal = bench.bucket.remove()
    assert bench.fail(KeyError("x"), event, attempt=attempt) == []
    assert bench.fail(KeyError("x"), removal, attempt=attempt) == []


def test_a_delay_that_costs_no_attempt_is_not_reported(bench):
    assert bench.fail(RetryLater("busy"), bench.bucket.upload(b"one")) == []


# --- slow pictures ---------------------------------------------------------------------------------------------


def slow_message(*records):
    return replace(message(*records), sticky_headers={"x-lane": "slow"})


def test_a_message_says_whether_its_picture_is_slow(bench):
    event = bench.bucket.upload(b"one")
    bench.handle(event)
    bench.thumbnailer.handle(slow_message(event), bench.publisher)
    assert bench.slow == [False, True]


def test_a_slow_picture_whose_turn_has_not_come_costs_no_download(bench):
    event = bench.bucket.upload(b"one")
    bench.turns = [LaneBusy("full", "slow")]
    with pytest.raises(LaneBusy):
        bench.thumbnailer.handle(slow_message(event), bench.publisher)
    assert (bench.bucket.calls, bench.publisher.said) == ([], [])
    bench.thumbnailer.handle(slow_message(event), bench.publisher)
    assert bench.publisher.kinds == [PROCESSING, DONE]


def test_a_picture_that_turns_out_to_be_slow_is_told_of_nothing_but_its_processing(bench):
    bench.results = [LaneBusy("full", "slow")]
    with pytest.raises(LaneBusy) as raised:
        bench.handle(event := bench.bucket.upload(b"one"))
    assert bench.publisher.kinds == [PROCESSING]
    assert bench.fail(raised.value, event) == [], "it costs no attempt, so nothing is to be told"


# --- outcomes --------------------------------------------------------------------------------------------------


def count(outcome):
    return OUTCOMES.labels(outcome)._value.get()  # noqa: SLF001


def test_every_event_is_counted_by_its_outcome(bench):
    old = bench.bucket.upload(b"one")
    events = {
        "superseded": old,
        "done": bench.bucket.upload(b"two"),
        "failed": bench.bucket.upload(b"", key="empty"),
    }
    before = {outcome: count(outcome) for outcome in (*events, "removed")}
    bench.handle(*events.values())
    bench.handle(bench.bucket.remove())
    assert {outcome: count(outcome) - before[outcome] for outcome in before} == dict.fromkeys(before, 1)
