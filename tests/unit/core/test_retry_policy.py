import pytest

from thumbmill.core.contracts.error_codes import MESSAGES, ErrorCode
from thumbmill.core.errors import DependencyUnavailable, LaneBusy, MalformedEvent, RetryLater
from thumbmill.core.messaging.retry_policy import MAX_ATTEMPTS, Action, decide


def decided(error, attempt=1, deferrals=0, *, possible_poison=False):
    return decide(error, attempt=attempt, deferrals=deferrals, possible_poison=possible_poison)


@pytest.mark.parametrize(
    ("error", "action", "is_failed_attempt"),
    [
        (None, Action.ACK, False),
        (DependencyUnavailable("minio"), Action.REQUEUE, False),
        (MalformedEvent("no JSON"), Action.DEAD_LETTER, False),
        (RetryLater("busy"), Action.DELAY, False),
        (LaneBusy("busy", "slow"), Action.DELAY, False),
        (KeyError("x"), Action.DELAY, True),
    ],
)
def test_the_ack_table(error, action, is_failed_attempt):
    disposition = decided(error)
    assert (disposition.action, disposition.is_failed_attempt) == (action, is_failed_attempt)


def test_an_unexpected_error_costs_an_attempt_and_delays_longer_each_time():
    dispositions = [decided(KeyError("x"), attempt) for attempt in range(1, MAX_ATTEMPTS)]
    assert [(d.delay, d.attempt) for d in dispositions] == [("5s", 2), ("30s", 3), ("5m", 4)]


def test_the_last_attempt_is_dead_lettered_and_reported():
    disposition = decided(KeyError("x"), MAX_ATTEMPTS)
    assert (disposition.action, disposition.code) == (Action.DEAD_LETTER, ErrorCode.ATTEMPTS_EXHAUSTED)
    assert disposition.is_failed_attempt


def test_retry_later_costs_no_attempt_and_never_ends():
    dispositions = [decided(RetryLater("busy"), 2, deferrals) for deferrals in range(5)]
    assert [(d.action, d.delay, d.attempt, d.deferrals) for d in dispositions] == [
        (Action.DELAY, "5s", 2, 1),
        (Action.DELAY, "30s", 2, 2),
        (Action.DELAY, "5m", 2, 3),
        (Action.DELAY, "5m", 2, 4),
        (Action.DELAY, "5m", 2, 5),
    ]


def test_a_possible_poison_message_that_fails_alone_gets_no_other_attempt():
    assert decided(KeyError("x"), possible_poison=True).code is ErrorCode.ATTEMPTS_EXHAUSTED


@pytest.mark.parametrize("error", [None, DependencyUnavailable("minio"), RetryLater("busy")])
def test_a_possible_poison_message_that_does_not_fail_is_like_any_other(error):
    assert decided(error, possible_poison=True) == decided(error)


def test_every_error_code_has_a_message():
    assert set(MESSAGES) == set(ErrorCode)


def test_a_wait_for_a_lane_is_short_and_costs_no_attempt():
    dispositions = [decided(LaneBusy("full", "slow"), 2, deferrals) for deferrals in range(8)]
    assert [d.delay for d in dispositions] == ["5s"] * 6 + ["30s"] * 2
    assert {(d.action, d.attempt, d.lane) for d in dispositions} == {(Action.DELAY, 2, "slow")}
    assert [d.deferrals for d in dispositions] == list(range(1, 9))
