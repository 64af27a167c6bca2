import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thumbmill.cli.dead_letters.model import Selection, format_body
from thumbmill.core.contracts.cloud_event import CONTENT_TYPE, to_cloud_event
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.contracts.events import Processing
from thumbmill.core.contracts.identity import ObjectVersion, image_id_of
from thumbmill.core.contracts.system_events import Watermark
from thumbmill.core.errors import MalformedEvent
from thumbmill.core.messaging.dead_letters import RawDeadLetter, parse_dead_letter
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.retry_policy import Disposition, decide

KEY = "holiday/ä b.jpg"
OTHER = "other.jpg"
SOURCE = ObjectVersion("1" * 32, 1000, 1_700_000_001)
TIME = datetime(2026, 11, 22, 8, tzinfo=UTC)
LIMIT = {"reason": "delivery_limit", "queue": "image_queue", "routing-keys": ["immediate"], "time": TIME}


def record(key="holiday/%C3%A4+b.jpg", bucket="images-original"):
    stored = {"key": key, "size": 1, "eTag": "1" * 32, "sequencer": f"{1_700_000_001 * 10**9:X}"}
    return {"eventName": "s3:ObjectCreated:Put", "s3": {"bucket": {"name": bucket}, "object": stored}}


def event(*records):
    return json.dumps({"Records": records or [record()]}).encode()


def dead_letter(body=None, headers=None, *, queue="image_queue.dead", content_type="application/json"):
    return parse_dead_letter(
        RawDeadLetter(queue, event() if body is None else body, content_type, None, headers or {})
    )


def headers_of(error: Exception, attempt: int = 4) -> dict[str, object]:
    """The headers that the services add to a dead letter."""
    disposition: Disposition = decide(error, attempt=attempt, deferrals=0, possible_poison=False)
    return Message(b"", "immediate", "application/json", attempt=attempt).headers_after(disposition)


def test_a_dead_letter_of_the_thumbnailer_has_its_image_and_reason():
    found = dead_letter(headers=headers_of(OSError("no luck")))
    assert (found.queue, found.keys, found.image_ids) == ("image_queue", (KEY,), (image_id_of(KEY),))
    assert (found.code, found.reason, found.attempts) == ("attempts_exhausted", "OSError: no luck", 4)
    assert (found.routing_key, found.redriven_by) == ("immediate", "")
    assert found.dead_lettered_at is not None
    assert found.dead_lettered_at.tzinfo is not None


def test_a_dead_letter_of_the_tracker_may_be_a_lifecycle_event():
    body = to_cloud_event(Processing(key=KEY, object_version=SOURCE), by="thumbnailer").to_json()
    assert dead_letter(body, queue="status_tracker.dead", content_type=CONTENT_TYPE).keys == (KEY,)
    watermark = to_cloud_event(Watermark(), by="status-tracker").to_json()
    assert dead_letter(watermark, queue="status_tracker.dead", content_type=CONTENT_TYPE).keys == ()


def test_a_message_over_the_delivery_limit_has_its_own_code_and_first_routing_key():
    found = dead_letter(headers={"x-death": [LIMIT]})
    assert (found.code, found.dead_lettered_at, found.routing_key) == ("delivery_limit", TIME, "immediate")
    delayed = {"reason": "expired", "queue": "image_queue.delay.5s", "routing-keys": ["image_queue.delay.5s"]}
    found = dead_letter(
        headers={"x-death": [LIMIT, delayed], "x-routing-key": "republished", "x-reason": "KeyError"}
    )
    assert (found.code, found.routing_key) == ("delivery_limit", "republished")


def test_a_malformed_message_has_no_image():
    found = dead_letter(b"\xff", headers_of(MalformedEvent("no JSON"), attempt=1))
    assert (found.keys, found.code, found.reason) == ((), "malformed_event", "malformed event: no JSON")


def test_a_message_may_have_several_images():
    body = event(record(), record(OTHER), record(), record("thumb", bucket="images-processed"))
    assert dead_letter(body).keys == (KEY, OTHER)


@given(
    st.binary(max_size=50),
    st.dictionaries(
        st.sampled_from(["x-death", "x-reason", "x-error-code", "x-died-at", "x-routing-key", "x-run"]),
        st.one_of(st.none(), st.text(), st.integers(), st.lists(st.one_of(st.integers(), st.just({"time": 3})))),
    ),
)
def test_any_message_can_be_parsed(body, headers):
    found = dead_letter(body, headers)
    json.dumps(found.describe())
    format_body(found.raw)


def test_the_id_depends_on_the_body_and_the_queue():
    assert dead_letter().id == dead_letter(headers={"x-attempt": 4}).id
    assert (
        len({dead_letter().id, dead_letter(event(record(OTHER))).id, dead_letter(queue="status_tracker.dead").id})
        == 3
    )


IMAGE, DEAD_LETTER = str(image_id_of(KEY)), dead_letter().id


@pytest.mark.parametrize(
    ("selection", "matches"),
    [
        (Selection(), False),
        (Selection(everything=True), True),
        (Selection(ids=frozenset({IMAGE})), True),
        (Selection(ids=frozenset({DEAD_LETTER, "other"})), True),
        (Selection(ids=frozenset({IMAGE[:8]})), False),
        (Selection(codes=frozenset({ErrorCode.ATTEMPTS_EXHAUSTED.value})), True),
        (Selection(codes=frozenset({"malformed_event", "attempts_exhausted"})), True),
        (Selection(codes=frozenset({"malformed_event"})), False),
        (Selection(ids=frozenset({IMAGE}), codes=frozenset({"malformed_event"})), False),
        (Selection(ids=frozenset({"other"}), codes=frozenset({"attempts_exhausted"})), False),
    ],
)
def test_a_selection_matches_by_id_and_code(selection, matches):
    assert selection.matches(dead_letter(headers=headers_of(KeyError("x")))) is matches


def test_a_body_is_formatted_as_json_if_possible():
    assert format_body(RawDeadLetter("q", b'{"a": "\xc3\xa4"}')) == '{\n  "a": "ä"\n}'
    assert format_body(RawDeadLetter("q", b"\xff{")) == "\\xff{"
    assert format_body(RawDeadLetter("q", b"[" * 100_000)).startswith("[[[")
