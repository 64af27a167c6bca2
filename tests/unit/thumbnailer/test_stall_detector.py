"""Waiting for a child by its CPU time, with simulated clocks."""

import pytest

from thumbmill.thumbnailer.sandbox import stall_detector
from thumbmill.thumbnailer.sandbox.stall_detector import CHECK_SECONDS, StallDetector, StalledError


class Clocks:
    """The wall clock and the child's CPU clock; a child that has ended has none."""

    def __init__(self, monkeypatch):
        self.now, self.used = 1000.0, 0.1
        monkeypatch.setattr(stall_detector.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(stall_detector, "read_cpu_seconds", self._read)

    def _read(self, _pid):
        if self.used is None:
            raise ProcessLookupError
        return self.used

    def pass_by(self, detector, seconds, *, cpu=0.0, step=CHECK_SECONDS):
        for _ in range(int(seconds / step)):
            self.now += step
            if self.used is not None:
                self.used += cpu * step
            detector.check()


@pytest.fixture
def clocks(monkeypatch):
    return Clocks(monkeypatch)


def test_idle_time_ends_a_wait_and_computing_does_not(clocks):
    detector = StallDetector(1, stall_seconds=10, deadline_seconds=10_000)
    clocks.pass_by(detector, 500, cpu=0.01)
    clocks.pass_by(detector, 9)
    clocks.pass_by(detector, 1, cpu=0.01)
    clocks.pass_by(detector, 9)
    with pytest.raises(StalledError, match="no CPU time for 10 s"):
        clocks.pass_by(detector, 1)


def test_a_trickle_of_cpu_time_ends_at_the_deadline(clocks):
    detector = StallDetector(1, stall_seconds=10, deadline_seconds=900)
    with pytest.raises(StalledError, match=r"ran for 900 s, with \d+\.\d s"):
        clocks.pass_by(detector, 1000, cpu=0.01)


def test_a_frozen_machine_loses_one_check(clocks):
    detector = StallDetector(1, stall_seconds=10, deadline_seconds=20)
    clocks.pass_by(detector, 36_000, step=3600)
    clocks.pass_by(detector, 1, cpu=1)


def test_many_calls_within_one_interval_count_as_one_check(clocks):
    detector = StallDetector(1, stall_seconds=10, deadline_seconds=20)
    clocks.pass_by(detector, 9, step=0.001)
    with pytest.raises(StalledError):
        clocks.pass_by(detector, 2, step=0.001)


def test_an_ended_child_is_left_to_the_socket(clocks):
    detector = StallDetector(1, stall_seconds=10, deadline_seconds=20)
    clocks.used = None
    clocks.pass_by(detector, 100)
