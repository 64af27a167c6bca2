import pytest

from pipeline.workers import stretch


@pytest.mark.parametrize(
    ("promises", "workers", "times"), [(0, 1, 1), (1, 1, 2), (3, 4, 1), (4, 4, 2), (8, 4, 4), (10_000, 4, 32)]
)
def test_promises_that_are_not_kept_make_the_next_wait_longer(promises, workers, times):
    assert stretch(promises, workers) == times
