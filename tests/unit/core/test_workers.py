import queue

import pytest
from pydantic import SecretStr

from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.messaging import workers
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.workers import Delivery, Workers, backoff_factor, per_message
from thumbmill.core.settings import BrokerSettings

BROKER = BrokerSettings(rabbitmq_user="nobody", rabbitmq_password=SecretStr("none"))


@pytest.mark.parametrize(
    ("promises", "workers", "times"), [(0, 1, 1), (1, 1, 2), (3, 4, 1), (4, 4, 2), (8, 4, 4), (10_000, 4, 32)]
)
def test_promises_that_are_not_kept_make_the_next_wait_longer(promises, workers, times):
    assert backoff_factor(promises, workers) == times


def test_a_probe_that_fails_as_none_should_is_tried_again(monkeypatch):
    """Its worker would be gone otherwise, and nothing would be consumed until somebody restarts the service."""
    monkeypatch.setattr(workers, "PROBE_SECONDS", (0, 0.01))
    settled: queue.SimpleQueue[bool] = queue.SimpleQueue()
    faults = [DependencyUnavailable("store"), None]
    surprises = [KeyError("no such word"), None]

    def handle(*_):
        if fault := faults.pop(0):
            raise fault

    def probe():
        if surprise := surprises.pop(0):
            raise surprise

    team = Workers(
        name="test",
        broker=BROKER,
        queue="images",
        handle=per_message(handle),
        on_failure=lambda *_: None,
        probes={"store": probe},
        acknowledge=lambda deliveries, ack: [settled.put(ack) for _ in deliveries],
        count=1,
        batch=1,
    )
    team.start()
    try:
        for done in (False, True):
            team.submit(Delivery(Message(b"{}", "key", ""), None, 1))
            assert settled.get(timeout=10) is done
        assert not team.unavailable
    finally:
        team.stop(5)
