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
