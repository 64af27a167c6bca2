from datetime import datetime

import pytest

from pipeline.errors import ErrorCode
from pipeline.messages import Message
from pipeline.outcomes import GiveUp, RetryLater, decide


def read(headers, routing_key="instant"):
    return Message.read(b"{}", routing_key, "application/json", headers)


def test_a_first_delivery_has_nothing_behind_it():
    message = read({})
    assert (message.attempt, message.deferrals, message.earlier_deliveries) == (1, 0, 0)


def test_senseless_headers_count_as_absent():
    message = read({"x-attempt": "many", "x-deferrals": -1, "x-delivery-count": None})
    assert (message.attempt, message.deferrals, message.earlier_deliveries) == (1, 0, 0)


def test_the_fifth_delivery_is_suspect():
    assert [read({"x-delivery-count": n}).is_suspect for n in (0, 3, 4, 5)] == [False, False, True, True]


def test_a_message_that_waited_knows_its_attempt_and_where_it_came_from():
    first = read({}, "ledger")
    verdict = decide(KeyError("x"), attempt=first.attempt, deferrals=first.deferrals, suspect=False)
    second = read(first.headers_after(verdict), "image_queue")
    assert (second.attempt, second.routing_key) == (2, "ledger")


def test_a_deferral_is_counted_apart_from_attempts():
    first = read({})
    verdict = decide(RetryLater("busy"), attempt=first.attempt, deferrals=first.deferrals, suspect=False)
    second = read(first.headers_after(verdict))
    assert (second.attempt, second.deferrals) == (1, 1)


def test_a_dead_letter_says_why():
    message = read({})
    verdict = decide(GiveUp(ErrorCode.EMPTY_FILE), attempt=1, deferrals=0, suspect=False)
    headers = message.headers_after(verdict)
    assert headers["x-reason"] == "empty_file"
    assert headers["x-error-code"] == "empty_file"


REDRIVEN = {"x-run": "2026-11-22T08:00:00.000000Z", "x-redriven-by": "ada", "x-redriven-at": "2026-11-22T08:00:00"}


def test_a_redriven_message_keeps_its_run_and_who_sent_it_on_every_way():
    first = read(REDRIVEN)
    assert (first.run, first.attempt) == (REDRIVEN["x-run"], 1)
    verdict = decide(KeyError("x"), attempt=1, deferrals=0, suspect=False)
    headers = read(first.headers_after(verdict), "image_queue").headers_after(verdict)
    assert headers.items() >= REDRIVEN.items()
    assert read({}).run == ""


def test_only_a_dead_letter_says_when_it_died():
    delayed, dead = (decide(KeyError("x"), attempt=attempt, deferrals=0, suspect=False) for attempt in (1, 4))
    assert "x-died-at" not in read({}).headers_after(delayed)
    assert datetime.fromisoformat(read({}).headers_after(dead)["x-died-at"]).tzinfo is not None


def test_the_brokers_record_of_a_message_it_gave_up_survives_a_delay():
    deaths = [{"reason": "delivery_limit", "queue": "image_queue"}, {"reason": "expired", "queue": "q.retry.5s"}]
    given_up = read({"x-death": deaths}, "image_queue.dead")
    assert (given_up.gave_up, given_up.came_by) == ("image_queue", "image_queue.dead")
    verdict = decide(KeyError("x"), attempt=1, deferrals=0, suspect=False)
    expired = {"x-death": [{"reason": "expired", "queue": "status_tracker.retry.5s"}]}
    assert read({**given_up.headers_after(verdict), **expired}, "status_tracker").gave_up == "image_queue"


@pytest.mark.parametrize("deaths", [None, "x", [], [1], [{"reason": "expired", "queue": "image_queue"}]])
def test_other_records_are_no_giving_up(deaths):
    assert read({"x-death": deaths}).gave_up == ""
