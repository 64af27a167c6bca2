import queue
from contextlib import contextmanager

import pytest
from pydantic import SecretStr

from thumbmill.core.errors import DependencyUnavailable, LaneBusy, MalformedEvent, RetryLater
from thumbmill.core.messaging import workers
from thumbmill.core.messaging.message import Message
from thumbmill.core.messaging.workers import Delivery, Workers, backoff_factor, per_message
from thumbmill.core.settings import BrokerSettings

BROKER = BrokerSettings(rabbitmq_user="nobody", rabbitmq_password=SecretStr("none"))


@contextmanager
def running(handle, **options):
    """Workers that handle what is submitted, and a queue of what they acknowledged (True) or requeued (False)."""
    settled: queue.SimpleQueue[bool] = queue.SimpleQueue()
    started = Workers(
        name="test",
        broker=BROKER,
        queue="images",
        handle=per_message(handle),
        acknowledge=lambda deliveries, ack: [settled.put(ack) for _ in deliveries],
        count=1,
        batch=1,
        **{"on_failure": lambda *_: None, "probes": {}, **options},
    )
    started.start()
    try:
        yield started, settled
    finally:
        started.stop(5)


@pytest.mark.parametrize(
    ("false_recoveries", "count", "factor"),
    [(0, 1, 1), (1, 1, 2), (3, 4, 1), (4, 4, 2), (8, 4, 4), (10_000, 4, 32)],
)
def test_false_recoveries_make_the_next_wait_longer(false_recoveries, count, factor):
    assert backoff_factor(false_recoveries, count) == factor


def test_a_probe_with_an_unexpected_error_is_tried_again(monkeypatch):
    """Its worker would end otherwise, and nothing would be consumed until the service is restarted."""
    monkeypatch.setattr(workers, "PROBE_SECONDS", (0, 0.01))
    errors = [DependencyUnavailable("store"), None]
    surprises = [KeyError("unexpected"), None]

    def handle(*_):
        if error := errors.pop(0):
            raise error

    def probe():
        if surprise := surprises.pop(0):
            raise surprise

    with running(handle, probes={"store": probe}) as (started, settled):
        for acknowledged in (False, True):
            started.submit(Delivery(Message(b"{}", "key", ""), None, 1))
            assert settled.get(timeout=10) is acknowledged
        assert not started.unavailable


class FakePublisher:
    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def publish(self, *_, **__):
        pass


@pytest.mark.parametrize(
    ("error", "attempt", "reported"),
    [
        (None, 1, False),
        (MalformedEvent("no JSON"), 1, False),
        (RetryLater("busy"), 1, False),
        (LaneBusy("busy", "slow"), 1, False),
        (KeyError("x"), 1, True),
        (KeyError("x"), 4, True),
    ],
)
def test_the_hook_is_called_for_failed_attempts_alone(monkeypatch, error, attempt, reported):
    monkeypatch.setattr(workers, "Publisher", FakePublisher)
    calls = []

    def handle(*_):
        if error:
            raise error

    with running(handle, on_failure=lambda message, *_: calls.append(message.attempt)) as (started, settled):
        started.submit(Delivery(Message(b"{}", "key", "", attempt=attempt), None, 1))
        assert settled.get(timeout=10) is True
    assert calls == ([attempt] if reported else [])
