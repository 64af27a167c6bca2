from datetime import datetime

import pytest

from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.errors import GiveUp, LaneBusy, RetryLater
from thumbmill.core.messaging.message import BrokerCredentials, Message
from thumbmill.core.messaging.retry_policy import decide
from thumbmill.core.messaging.topology import RETRY

OWN = BrokerCredentials("thumbnailer", "secret")


def read(headers, routing_key="immediate", exchange=RETRY, **options):
    return Message.read(b"{}", routing_key, "application/json", headers, exchange=exchange, **options)


def test_a_first_delivery_has_nothing_behind_it():
    message = read({})
    assert (message.attempt, message.deferrals, message.earlier_deliveries) == (1, 0, 0)


def test_senseless_headers_count_as_absent():
    message = read({"x-attempt": "many", "x-deferrals": -1, "x-delivery-count": None})
    assert (message.attempt, message.deferrals, message.earlier_deliveries) == (1, 0, 0)


def test_the_fifth_delivery_is_suspect():
    assert [read({"x-delivery-count": n}).is_possible_poison for n in (0, 3, 4, 5)] == [False, False, True, True]


def test_a_message_that_waited_knows_its_attempt_and_where_it_came_from():
    first = read({}, "durable")
    verdict = decide(KeyError("x"), attempt=first.attempt, deferrals=first.deferrals, possible_poison=False)
    second = read(first.headers_after(verdict), "image_queue")
    assert (second.attempt, second.routing_key) == (2, "durable")


def test_a_deferral_is_counted_apart_from_attempts():
    first = read({})
    verdict = decide(RetryLater("busy"), attempt=first.attempt, deferrals=first.deferrals, possible_poison=False)
    second = read(first.headers_after(verdict))
    assert (second.attempt, second.deferrals) == (1, 1)


def test_a_dead_letter_says_why():
    message = read({})
    verdict = decide(GiveUp(ErrorCode.EMPTY_FILE), attempt=1, deferrals=0, possible_poison=False)
    headers = message.headers_after(verdict)
    assert headers["x-reason"] == "empty_file"
    assert headers["x-error-code"] == "empty_file"


REDRIVEN = {"x-run": "2026-11-22T08:00:00.000000Z", "x-redriven-by": "ada", "x-redriven-at": "2026-11-22T08:00:00"}


def test_a_redriven_message_keeps_its_run_and_who_sent_it_on_every_way():
    first = read(REDRIVEN)
    assert (first.run_id, first.attempt) == (REDRIVEN["x-run"], 1)
    verdict = decide(KeyError("x"), attempt=1, deferrals=0, possible_poison=False)
    headers = read(first.headers_after(verdict), "image_queue").headers_after(verdict)
    assert headers.items() >= REDRIVEN.items()
    assert read({}).run_id == ""


def test_only_a_dead_letter_says_when_it_died():
    delayed, dead = (
        decide(KeyError("x"), attempt=attempt, deferrals=0, possible_poison=False) for attempt in (1, 4)
    )
    assert "x-died-at" not in read({}).headers_after(delayed)
    assert datetime.fromisoformat(read({}).headers_after(dead)["x-died-at"]).tzinfo is not None


def test_the_brokers_record_of_a_message_it_gave_up_survives_a_delay():
    deaths = [{"reason": "delivery_limit", "queue": "image_queue"}, {"reason": "expired", "queue": "q.delay.5s"}]
    given_up = read({"x-death": deaths}, "image_queue.dead")
    assert (given_up.delivery_limit_queue, given_up.delivery_routing_key) == ("image_queue", "image_queue.dead")
    verdict = decide(KeyError("x"), attempt=1, deferrals=0, possible_poison=False)
    expired = {"x-death": [{"reason": "expired", "queue": "status_tracker.delay.5s"}]}
    assert (
        read({**given_up.headers_after(verdict), **expired}, "status_tracker").delivery_limit_queue == "image_queue"
    )


@pytest.mark.parametrize("deaths", [None, "x", [], [1], [{"reason": "expired", "queue": "image_queue"}]])
def test_other_records_are_no_giving_up(deaths):
    assert read({"x-death": deaths}).delivery_limit_queue == ""


# --- where a message came from the first time ----------------------------------------------------------------

ORIGIN = {"x-routing-key": "image.done", "x-exchange": "image.lifecycle", "x-author": "thumbnailer"}


def origin(message):
    return message.exchange, message.routing_key, message.sender


@pytest.mark.parametrize("exchange", ["image.lifecycle", "storage.events", "elsewhere"])
def test_of_a_first_delivery_headers_say_nothing_about_its_origin_and_tries(exchange):
    """Anybody who may publish at all may write headers."""
    deaths = [{"reason": "delivery_limit", "queue": "image_queue"}]
    forged = {**ORIGIN, "x-attempt": 4, "x-deferrals": 9, "x-gave-up": "image_queue", "x-death": deaths}
    message = read(forged, "upload.requested", exchange, user_id="gateway", reader=OWN)
    assert origin(message) == (exchange, "upload.requested", "gateway")
    assert (message.attempt, message.deferrals, message.delivery_limit_queue) == (1, 0, "")


def test_what_a_consumer_moved_itself_keeps_its_origin():
    assert origin(read(ORIGIN, "q", user_id=OWN.user, reader=OWN)) == (
        "image.lifecycle",
        "image.done",
        "thumbnailer",
    )


@pytest.mark.parametrize("user", ["operator", "gateway", ""])
def test_what_somebody_else_moved_has_no_author(user):
    assert origin(read(ORIGIN, "q", user_id=user, reader=OWN)) == ("", "image.done", "")


def buried(first, account):
    verdict = decide(KeyError("x"), attempt=4, deferrals=0, possible_poison=False)
    return first.headers_after(verdict, account)


def test_a_dead_letter_that_an_operator_sends_back_keeps_its_origin_by_its_seal():
    first = read({}, "image.done", "image.lifecycle", user_id="thumbnailer", reader=OWN)
    headers = {name: value for name, value in buried(first, OWN).items() if name != "x-attempt"}
    again = read(headers, "q", user_id="operator", reader=OWN)
    assert origin(again) == origin(first)
    assert again.attempt == 1


@pytest.mark.parametrize("change", [{"x-author": "gateway"}, {"x-routing-key": "image.failed"}, {"x-seal": "\xe4"}])
def test_a_seal_is_of_one_origin(change):
    first = read({}, "image.done", "image.lifecycle", user_id="thumbnailer", reader=OWN)
    assert read({**buried(first, OWN), **change}, "q", user_id="operator", reader=OWN).sender == ""


def test_a_seal_is_of_one_body_and_one_consumer():
    first = read({}, "image.done", "image.lifecycle", user_id="thumbnailer", reader=OWN)
    headers, way = buried(first, OWN), {"exchange": RETRY, "user_id": "operator"}
    assert Message.read(b"{ }", "q", "", headers, reader=OWN, **way).sender == ""
    other = BrokerCredentials("status-tracker", "another secret")
    assert Message.read(b"{}", "q", "", headers, reader=other, **way).sender == ""


def test_a_message_that_waits_for_its_turn_says_in_which_lane_on_every_way():
    waiting = decide(LaneBusy("full", "slow"), attempt=1, deferrals=0, possible_poison=False)
    failed = decide(KeyError("x"), attempt=1, deferrals=0, possible_poison=False)
    assert read({}).lane == ""
    assert read(read({}).headers_after(waiting)).lane == "slow"
    assert read(read(read({}).headers_after(waiting)).headers_after(failed)).lane == "slow"
    assert read({"x-lane": 7}).lane == ""
