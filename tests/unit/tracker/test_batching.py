from thumbmill.tracker.batching import MAX_BUDGET, PAUSE_SECONDS, UNBATCHED_PER_SECOND, BatchDelay


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def test_a_few_events_at_a_time_never_wait():
    clock = Clock()
    pace = BatchDelay(100, clock)
    for _ in range(200):
        clock.now += 2 / UNBATCHED_PER_SECOND
        assert pace(1) == 0


def test_many_events_gather_once_the_budget_is_spent():
    clock = Clock()
    pace = BatchDelay(100, clock)
    pauses = [pace(1) for _ in range(MAX_BUDGET + 5)]
    assert pauses[: MAX_BUDGET - 1] == [0] * (MAX_BUDGET - 1)
    assert pauses[-5:] == [PAUSE_SECONDS] * 5
    clock.now += 1
    assert pace(1) == 0


def test_a_backlog_is_processed_without_a_pause():
    pace = BatchDelay(100, Clock())
    assert [pace(100) for _ in range(10)] == [0] * 10
