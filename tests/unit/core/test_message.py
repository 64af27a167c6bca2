from datetime import datetime

import pytest

from thumbmill.core.errors import LaneBusy, RetryLater
from thumbmill.core.messaging.message import BrokerCredentials, Message
from thumbmill.core.messaging.retry_policy import decide
from thumbmill.core.messaging.topology import RETRY

OWN = BrokerCredentials("thumbnailer", "secret")


def read(headers, routing_key="immediate", exchange=RETRY, **options):
    return Message.read(b"{}", routing_key, "application/json", headers, exchange=exchange, **options)


def test_a_first_delivery_is_the_first_attempt():
    message = read({})
    assert (message.attempt, message.deferrals, message.earlier_deliveries) == (1, 0, 0)


def test_invalid_headers_count_as_absent():
    message = read({"x-attempt": "many", "x-deferrals": -1, "x-delivery-count": None})
    assert (message.attempt, message.deferrals, message.earlier_deliveries) == (1, 0, 0)


def test_the_fifth_delivery_is_possible_poison():
    assert [read({"x-delivery-count": n}).is_possible_poison for n in (0, 3, 4, 5)] == [False, False, True, True]


def test_a_delayed_message_keeps_its_attempt_and_its_routing_key():
    first = read({}, "durable")
    disposition = decide(KeyError("x"), attempt=first.attempt, deferrals=first.deferrals, possible_poison=False)
    second = read(first.headers_after(disposition), "image_queue")
    assert (second.attempt, second.routing_key) == (2, "durable")


def test_deferrals_are_counted_separately_from_attempts():
    first = read({})
    disposition = decide(
        RetryLater("busy"), attempt=first.attempt, deferrals=first.deferrals, possible_poison=False
    )
    second = read(first.headers_after(disposition))
    assert (second.attempt, second.deferrals) == (1, 1)


def test_a_dead_letter_has_the_reason():
    disposition = decide(KeyError("x"), attempt=4, deferrals=0, possible_poison=False)
    headers = read({}).headers_after(disposition)
    assert headers["x-reason"] == "KeyError: 'x'"
    assert headers["x-error-code"] == "attempts_exhausted"


REDRIVEN = {"x-run": "2026-11-22T08:00:00.000000Z", "x-redriven-by": "ada", "x-redriven-at": "2026-11-22T08:00:00"}


def test_a_redriven_message_keeps_its_run_and_its_operator_in_every_queue():
    first = read(REDRIVEN)
    assert (first.run_id, first.attempt) == (REDRIVEN["x-run"], 1)
    disposition = decide(KeyError("x"), attempt=1, deferrals=0, possible_poison=False)
    headers = read(first.headers_after(disposition), "image_queue").headers_after(disposition)
    assert headers.items() >= REDRIVEN.items()
    assert read({}).run_id == ""


def test_only_a_dead_letter_has_the_time():
    delayed, dead = (
        decide(KeyError("x"), attempt=attempt, deferrals=0, possible_poison=False) for attempt in (1, 4)
    )
    assert "x-died-at" not in read({}).headers_after(delayed)
    assert datetime.fromisoformat(read({}).headers_after(dead)["x-died-at"]).tzinfo is not None


def test_the_brokers_record_of_a_reached_delivery_limit_survives_a_delay():
    deaths = [{"reason": "delivery_limit", "queue": "image_queue"}, {"reason": "expired", "queue": "q.delay.5s"}]
    limited = read({"x-death": deaths}, "image_queue.dead")
    assert (limited.delivery_limit_queue, limited.delivery_routing_key) == ("image_queue", "image_queue.dead")
    disposition = decide(KeyError("x"), attempt=1, deferrals=0, possible_poison=False)
    expired = {"x-death": [{"reason": "expired", "queue": "status_tracker.delay.5s"}]}
    assert (
        read({**limited.headers_after(disposition), **expired}, "status_tracker").delivery_limit_queue
        == "image_queue"
    )


@pytest.mark.parametrize("deaths", [None, "x", [], [1], [{"reason": "expired", "queue": "image_queue"}]])
def test_other_records_are_not_a_reached_delivery_limit(deaths):
    assert read({"x-death": deaths}).delivery_limit_queue == ""


# --- the origin of a message -----------------------------------------------------------------------------------

ORIGIN = {"x-routing-key": "image.done", "x-exchange": "image.lifecycle", "x-author": "thumbnailer"}


def origin(message):
    return message.exchange, message.routing_key, message.sender


@pytest.mark.parametrize("exchange", ["image.lifecycle", "storage.events", "elsewhere"])
def test_headers_of_a_first_delivery_are_not_trusted(exchange):
    """Every client that may publish may set headers."""
    deaths = [{"reason": "delivery_limit", "queue": "image_queue"}]
    forged = {**ORIGIN, "x-attempt": 4, "x-deferrals": 9, "x-gave-up": "image_queue", "x-death": deaths}
    message = read(forged, "upload.requested", exchange, user_id="gateway", reader=OWN)
    assert origin(message) == (exchange, "upload.requested", "gateway")
    assert (message.attempt, message.deferrals, message.delivery_limit_queue) == (1, 0, "")


def test_a_message_moved_by_its_consumer_keeps_its_origin():
    assert origin(read(ORIGIN, "q", user_id=OWN.user, reader=OWN)) == (
        "image.lifecycle",
        "image.done",
        "thumbnailer",
    )


@pytest.mark.parametrize("user", ["operator", "gateway", ""])
def test_a_message_moved_by_another_user_has_no_sender(user):
    assert origin(read(ORIGIN, "q", user_id=user, reader=OWN)) == ("", "image.done", "")


def dead_letter_headers(first, credentials):
    disposition = decide(KeyError("x"), attempt=4, deferrals=0, possible_poison=False)
    return first.headers_after(disposition, credentials)


def test_a_redriven_dead_letter_keeps_its_origin_by_its_signature():
    first = read({}, "image.done", "image.lifecycle", user_id="thumbnailer", reader=OWN)
    headers = {name: value for name, value in dead_letter_headers(first, OWN).items() if name != "x-attempt"}
    again = read(headers, "q", user_id="operator", reader=OWN)
    assert origin(again) == origin(first)
    assert again.attempt == 1


@pytest.mark.parametrize("change", [{"x-author": "gateway"}, {"x-routing-key": "image.failed"}, {"x-seal": "\xe4"}])
def test_a_signature_covers_the_origin(change):
    first = read({}, "image.done", "image.lifecycle", user_id="thumbnailer", reader=OWN)
    assert read({**dead_letter_headers(first, OWN), **change}, "q", user_id="operator", reader=OWN).sender == ""


def test_a_signature_covers_the_body_and_belongs_to_one_consumer():
    first = read({}, "image.done", "image.lifecycle", user_id="thumbnailer", reader=OWN)
    headers, way = dead_letter_headers(first, OWN), {"exchange": RETRY, "user_id": "operator"}
    assert Message.read(b"{ }", "q", "", headers, reader=OWN, **way).sender == ""
    other = BrokerCredentials("status-tracker", "another secret")
    assert Message.read(b"{}", "q", "", headers, reader=other, **way).sender == ""


def test_a_message_that_waits_for_a_lane_names_it_in_every_queue():
    waiting = decide(LaneBusy("full", "slow"), attempt=1, deferrals=0, possible_poison=False)
    failed = decide(KeyError("x"), attempt=1, deferrals=0, possible_poison=False)
    assert read({}).lane == ""
    assert read(read({}).headers_after(waiting)).lane == "slow"
    assert read(read(read({}).headers_after(waiting)).headers_after(failed)).lane == "slow"
    assert read({"x-lane": 7}).lane == ""
