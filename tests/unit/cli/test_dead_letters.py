import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thumbmill.cli.dead_letters.model import Selection, format_body, parse_dead_letter
from thumbmill.core.contracts.cloud_event import CONTENT_TYPE, to_cloud_event
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.contracts.events import Processing, Watermark
from thumbmill.core.contracts.identity import ObjectVersion, image_id_of
from thumbmill.core.errors import MalformedEvent
from thumbmill.core.messaging.dead_letters import RawDeadLetter
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.retry_policy import Disposition, decide

KEY = "holiday/ä b.jpg"
OTHER = "other.jpg"
SOURCE = ObjectVersion("1" * 32, 1000, 1_700_000_001)
TIME = datetime(2026, 11, 22, 8, tzinfo=UTC)
LIMIT = {"reason": "delivery_limit", "queue": "image_queue", "routing-keys": ["immediate"], "time": TIME}


def record(key="holiday/%C3%A4+b.jpg", bucket="images-original"):
    thing = {"key": key, "size": 1, "eTag": "1" * 32, "sequencer": f"{1_700_000_001 * 10**9:X}"}
    return {"eventName": "s3:ObjectCreated:Put", "s3": {"bucket": {"name": bucket}, "object": thing}}


def event(*records):
    return json.dumps({"Records": records or [record()]}).encode()


def letter(body=None, headers=None, *, queue="image_queue.dead", content_type="application/json"):
    return parse_dead_letter(
        RawDeadLetter(queue, event() if body is None else body, content_type, None, headers or {})
    )


def headers_of(fault: Exception, attempt: int = 4) -> dict[str, object]:
    """What the services write on a letter."""
    verdict: Disposition = decide(fault, attempt=attempt, deferrals=0, possible_poison=False)
    return Message(b"", "immediate", "application/json", attempt=attempt).headers_after(verdict)


def test_a_letter_of_the_thumbnailers_says_which_image_and_why():
    found = letter(headers=headers_of(OSError("no luck")))
    assert (found.queue, found.keys, found.image_ids) == ("image_queue", (KEY,), (image_id_of(KEY),))
    assert (found.code, found.reason, found.attempts) == ("attempts_exhausted", "OSError: no luck", 4)
    assert (found.routing_key, found.redriven_by) == ("immediate", "")
    assert found.died_at is not None
    assert found.died_at.tzinfo is not None


def test_a_letter_of_the_trackers_may_be_a_lifecycle_event():
    body = to_cloud_event(Processing(key=KEY, object_version=SOURCE), by="thumbnailer").to_json()
    assert letter(body, queue="status_tracker.dead", content_type=CONTENT_TYPE).keys == (KEY,)
    mark = to_cloud_event(Watermark(), by="status-tracker").to_json()
    assert letter(mark, queue="status_tracker.dead", content_type=CONTENT_TYPE).keys == ()


def test_what_the_broker_gave_up_has_its_own_code_and_its_first_routing_key():
    found = letter(headers={"x-death": [LIMIT]})
    assert (found.code, found.died_at, found.routing_key) == ("delivery_limit", TIME, "immediate")
    delayed = {"reason": "expired", "queue": "image_queue.delay.5s", "routing-keys": ["image_queue.delay.5s"]}
    found = letter(headers={"x-death": [LIMIT, delayed], "x-routing-key": "republished", "x-reason": "KeyError"})
    assert (found.code, found.routing_key) == ("delivery_limit", "republished")


def test_garbage_is_about_no_image():
    found = letter(b"\xff", headers_of(MalformedEvent("no JSON"), attempt=1))
    assert (found.keys, found.code, found.reason) == ((), "malformed_event", "malformed event: no JSON")


def test_one_message_may_be_about_several_images():
    body = event(record(), record(OTHER), record(), record("thumb", bucket="images-processed"))
    assert letter(body).keys == (KEY, OTHER)


@given(
    st.binary(max_size=50),
    st.dictionaries(
        st.sampled_from(["x-death", "x-reason", "x-error-code", "x-died-at", "x-routing-key", "x-run"]),
        st.one_of(st.none(), st.text(), st.integers(), st.lists(st.one_of(st.integers(), st.just({"time": 3})))),
    ),
)
def test_a_letter_can_be_anything(body, headers):
    found = letter(body, headers)
    json.dumps(found.describe())
    format_body(found.raw)


def test_twins_have_one_id_and_the_queue_tells_others_apart():
    assert letter().id == letter(headers={"x-attempt": 4}).id
    assert len({letter().id, letter(event(record(OTHER))).id, letter(queue="status_tracker.dead").id}) == 3


IMAGE, LETTER = str(image_id_of(KEY)), letter().id


@pytest.mark.parametrize(
    ("selection", "has"),
    [
        (Selection(), False),
        (Selection(everything=True), True),
        (Selection(ids=frozenset({IMAGE})), True),
        (Selection(ids=frozenset({LETTER, "other"})), True),
        (Selection(ids=frozenset({IMAGE[:8]})), False),
        (Selection(codes=frozenset({ErrorCode.ATTEMPTS_EXHAUSTED.value})), True),
        (Selection(codes=frozenset({"malformed_event", "attempts_exhausted"})), True),
        (Selection(codes=frozenset({"malformed_event"})), False),
        (Selection(ids=frozenset({IMAGE}), codes=frozenset({"malformed_event"})), False),
        (Selection(ids=frozenset({"other"}), codes=frozenset({"attempts_exhausted"})), False),
    ],
)
def test_who_is_meant(selection, has):
    assert selection.matches(letter(headers=headers_of(KeyError("x")))) is has


def test_a_body_is_shown_as_json_or_as_it_is():
    assert format_body(RawDeadLetter("q", b'{"a": "\xc3\xa4"}')) == '{\n  "a": "ä"\n}'
    assert format_body(RawDeadLetter("q", b"\xff{")) == "\\xff{"
    assert format_body(RawDeadLetter("q", b"[" * 100_000)).startswith("[[[")
