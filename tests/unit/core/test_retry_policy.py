import pytest

from thumbmill.core.contracts.error_codes import MESSAGES, ErrorCode
from thumbmill.core.errors import DependencyUnavailable, GiveUp, LaneBusy, MalformedEvent, RetryLater
from thumbmill.core.messaging.retry_policy import MAX_ATTEMPTS, Action, decide


def decided(fault, attempt=1, deferrals=0, *, possible_poison=False):
    return decide(fault, attempt=attempt, deferrals=deferrals, possible_poison=possible_poison)


@pytest.mark.parametrize(
    ("fault", "action"),
    [
        (None, Action.ACK),
        (DependencyUnavailable("minio"), Action.REQUEUE),
        (MalformedEvent("no JSON"), Action.DEAD_LETTER),
        (GiveUp(ErrorCode.EMPTY_FILE), Action.GIVE_UP),
        (RetryLater("busy"), Action.DELAY),
        (KeyError("x"), Action.DELAY),
    ],
)
def test_the_ack_table(fault, action):
    assert decided(fault).action is action


def test_an_unknown_fault_costs_an_attempt_and_waits_longer_each_time():
    verdicts = [decided(KeyError("x"), attempt) for attempt in range(1, MAX_ATTEMPTS)]
    assert [(v.delay, v.attempt) for v in verdicts] == [("5s", 2), ("30s", 3), ("5m", 4)]


def test_the_last_attempt_ends_in_the_dead_queue():
    verdict = decided(KeyError("x"), MAX_ATTEMPTS)
    assert (verdict.action, verdict.code) == (Action.DEAD_LETTER, ErrorCode.ATTEMPTS_EXHAUSTED)


def test_a_passing_fault_costs_no_attempt_and_never_ends():
    verdicts = [decided(RetryLater("busy"), 2, deferrals) for deferrals in range(5)]
    assert [(v.action, v.delay, v.attempt, v.deferrals) for v in verdicts] == [
        (Action.DELAY, "5s", 2, 1),
        (Action.DELAY, "30s", 2, 2),
        (Action.DELAY, "5m", 2, 3),
        (Action.DELAY, "5m", 2, 4),
        (Action.DELAY, "5m", 2, 5),
    ]


def test_a_suspect_that_fails_alone_gets_no_other_try():
    assert decided(KeyError("x"), possible_poison=True).code is ErrorCode.ATTEMPTS_EXHAUSTED


@pytest.mark.parametrize("fault", [None, DependencyUnavailable("minio"), RetryLater("busy")])
def test_a_suspect_that_does_not_fail_is_like_any_other(fault):
    assert decided(fault, possible_poison=True) == decided(fault)


def test_every_code_has_a_meaning():
    assert set(MESSAGES) == set(ErrorCode)


def test_a_wait_for_a_turn_is_short_and_costs_no_attempt():
    verdicts = [decided(LaneBusy("full", "slow"), 2, deferrals) for deferrals in range(8)]
    assert [v.delay for v in verdicts] == ["5s"] * 6 + ["30s"] * 2
    assert {(v.action, v.attempt, v.lane) for v in verdicts} == {(Action.DELAY, 2, "slow")}
    assert [v.deferrals for v in verdicts] == list(range(1, 9))
