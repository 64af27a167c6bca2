import pytest

from thumbmill.core.messaging.message import Message
from thumbmill.tracker.batching import AT_ONCE_PER_SECOND, MAX_AT_ONCE, WAIT_SECONDS, BatchDelay


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def messages(*keys):
    return [Message(b"", key, "") for key in keys]


DONE = messages("image.done")


@pytest.mark.parametrize(
    ("keys", "seconds"),
    [
        (("immediate",), WAIT_SECONDS),
        (("durable", "image.processing", "tracker.watermark"), WAIT_SECONDS),
        (("immediate", "image.processing", "image.done"), 0),
        (("image.failed",), 0),
        (("upload.requested",), 0),
        (("status_tracker",), 0),  # from a delay queue
    ],
)
def test_only_what_somebody_waits_for_is_written_at_once(keys, seconds):
    assert BatchDelay(100, Clock())(messages(*keys)) == seconds


def test_a_few_ends_a_second_never_wait():
    clock = Clock()
    delay = BatchDelay(100, clock)
    for _ in range(200):
        clock.now += 1 / AT_ONCE_PER_SECOND
        assert delay(DONE) == 0


def test_many_ends_gather_once_the_budget_is_spent():
    clock = Clock()
    delay = BatchDelay(100, clock)
    assert [delay(DONE) for _ in range(MAX_AT_ONCE + 5)] == [0] * MAX_AT_ONCE + [WAIT_SECONDS] * 5
    clock.now += 1
    assert delay(DONE) == 0


def test_a_backlog_is_written_at_once_and_costs_no_budget():
    delay = BatchDelay(100, Clock())
    assert [delay(100 * DONE) for _ in range(2 * MAX_AT_ONCE)] == [0] * 2 * MAX_AT_ONCE
    assert delay(DONE) == 0
