"""The ack table, row by row, on a real RabbitMQ."""

import threading
from collections.abc import Callable
from contextlib import contextmanager
from datetime import timedelta

import pika
import pytest

from tests.support.degraded_servers import short_ack_timeout
from tests.support.waiting import wait_until
from thumbmill.core.errors import DependencyUnavailable, MalformedEvent, RetryLater
from thumbmill.core.messaging.consumer import Consumer
from thumbmill.core.messaging.retry_policy import DELAYS
from thumbmill.core.messaging.session import declare
from thumbmill.core.messaging.topology import Queue, QueueGroup, dead_letter_queue_name, delay_queue_name
from thumbmill.core.messaging.workers import per_message

TIMEOUT = 20


@pytest.fixture
def queue_group(broker, request):
    """A queue group for this test, deleted afterwards."""
    queue_group = QueueGroup(Queue(f"test.{request.node.name[:60]}.{threading.get_native_id()}", ()))
    with broker.channel() as channel:
        declare(channel, queue_group)
    yield queue_group
    with broker.channel() as channel:
        for queue in queue_group.queues:
            channel.queue_delete(queue.name)


@pytest.fixture
def quick(monkeypatch):
    """Delays of a fraction of a second; request this fixture before ``queue_group``."""
    for delay in DELAYS:
        monkeypatch.setitem(DELAYS, delay, timedelta(milliseconds=150))


@contextmanager
def consuming(broker, queue_group, handle: Callable, **options):
    consumer = Consumer(name="test", broker=broker.settings, queue_group=queue_group, handle=handle, **options)
    thread = threading.Thread(target=consumer.run)
    thread.start()
    try:
        yield consumer
    finally:
        consumer.stop()
        thread.join(30)
        assert not thread.is_alive()


class RecordingHandler:
    """A handler that records its messages, and calls ``respond`` for each."""

    def __init__(self, respond=lambda _message: None):
        self.seen = []
        self.respond = respond

    def __call__(self, message, _publisher):
        self.seen.append(message)
        self.respond(message)

    @property
    def bodies(self):
        return [message.body for message in self.seen]


def test_a_message_whose_handler_returns_is_acknowledged(broker, queue_group):
    recorded = RecordingHandler()
    broker.send(queue_group.work.name, b"one", b"two")
    with consuming(broker, queue_group, per_message(recorded)):
        wait_until(lambda: len(recorded.seen) == 2, TIMEOUT)
    assert broker.length(queue_group.work.name) == 0


def test_an_error_is_retried_three_times_and_dead_lettered(quick, broker, queue_group):
    reported = []

    def fail(_message):
        raise KeyError("broken")

    recorded = RecordingHandler(fail)
    broker.send(queue_group.work.name, b"poison")
    with consuming(
        broker,
        queue_group,
        per_message(recorded),
        on_failure=lambda m, v, _p: reported.append((m.attempt, v.action.value)),
    ):
        wait_until(lambda: broker.length(dead_letter_queue_name(queue_group.work.name)), TIMEOUT)
    assert [message.attempt for message in recorded.seen] == [1, 2, 3, 4]
    assert reported == [(1, "delay"), (2, "delay"), (3, "delay"), (4, "dead_letter")]
    body, headers = broker.take(dead_letter_queue_name(queue_group.work.name))
    assert body == b"poison"
    assert headers["x-reason"] == "KeyError: 'broken'"
    assert headers["x-error-code"] == "attempts_exhausted"


def test_retry_later_costs_no_attempt(quick, broker, queue_group):
    def busy_five_times(message):
        if message.deferrals < 5:
            raise RetryLater("busy")

    recorded = RecordingHandler(busy_five_times)
    broker.send(queue_group.work.name, b"x")
    with consuming(broker, queue_group, per_message(recorded)):
        wait_until(lambda: len(recorded.seen) == 6, TIMEOUT)
    assert {message.attempt for message in recorded.seen} == {1}
    assert broker.length(queue_group.work.name) == 0


def test_a_malformed_message_is_dead_lettered_and_the_next_is_handled(broker, queue_group):
    def parse(message):
        if message.body == b"malformed":
            raise MalformedEvent("no JSON")

    recorded = RecordingHandler(parse)
    broker.send(queue_group.work.name, b"malformed", b"good")
    with consuming(broker, queue_group, per_message(recorded)):
        wait_until(lambda: len(recorded.seen) == 2, TIMEOUT)
        wait_until(lambda: broker.length(dead_letter_queue_name(queue_group.work.name)) == 1, TIMEOUT)
    assert broker.take(dead_letter_queue_name(queue_group.work.name))[1]["x-reason"] == "malformed event: no JSON"


def test_nothing_is_consumed_while_a_dependency_is_unavailable(broker, queue_group):
    available, probes = threading.Event(), []

    def need(_message):
        if not available.is_set():
            raise DependencyUnavailable("minio", "down")

    def probe():
        probes.append(1)
        if not available.is_set():
            raise DependencyUnavailable("minio", "still down")

    recorded = RecordingHandler(need)
    broker.send(queue_group.work.name, *(b"%d" % n for n in range(10)))
    with consuming(
        broker, queue_group, per_message(recorded), probes={"minio": probe}, prefetch=4, workers=2
    ) as consumer:
        wait_until(lambda: len(probes) >= 4, TIMEOUT)
        assert len(recorded.seen) <= 4
        assert consumer.health.readiness() == "waits for minio"
        assert broker.length(queue_group.work.name) == 10  # requeued, not held
        available.set()
        wait_until(lambda: len(recorded.seen) >= 10 + 2 and broker.length(queue_group.work.name) == 0, TIMEOUT)
        wait_until(lambda: consumer.health.readiness() == "", TIMEOUT)
    assert {message.attempt for message in recorded.seen} == {1}
    assert broker.length(dead_letter_queue_name(queue_group.work.name)) == 0
    assert broker.length(delay_queue_name(queue_group.work.name, "5s")) == 0


def test_in_a_batch_only_the_failing_message_is_retried(broker, queue_group):
    batches = []

    def handle(messages, _publisher):
        batches.append([message.body for message in messages])
        if b"bad" in batches[-1]:
            raise ValueError("cannot be written")

    broker.send(queue_group.work.name, b"1", b"bad", b"3")
    with consuming(broker, queue_group, handle, prefetch=10, batch=10):
        wait_until(lambda: broker.length(delay_queue_name(queue_group.work.name, "5s")) == 1, TIMEOUT)
        assert broker.take(delay_queue_name(queue_group.work.name, "5s"))[0] == b"bad"
    assert broker.length(queue_group.work.name) == 0
    assert [b"1"] in batches or [b"1", b"bad", b"3"] not in batches


def test_messages_wait_for_the_one_that_lets_them_go(broker, queue_group):
    batches, waiting = [], []

    def handle(messages, _publisher):
        batches.append([message.body for message in messages])

    def delay(messages):
        waiting[:] = [message.body for message in messages]
        return 0 if b"last" in waiting else 3600

    work = queue_group.work.name
    with consuming(broker, queue_group, handle, prefetch=10, batch=10, batch_delay=delay) as consumer:
        broker.send(work, b"1", b"2")
        wait_until(lambda: waiting == [b"1", b"2"], TIMEOUT)
        broker.send(work, b"last")
        wait_until(lambda: batches == [[b"1", b"2", b"last"]], TIMEOUT)
        broker.send(work, b"3")
        wait_until(lambda: waiting == [b"3"], TIMEOUT)
        consumer.stop()
        wait_until(lambda: broker.length(work) == 1, TIMEOUT)
    assert len(batches) == 1


def test_stopping_finishes_running_handlers_and_requeues_the_rest(broker, queue_group):
    begun, finish = threading.Event(), threading.Event()

    def work(_message):
        begun.set()
        finish.wait(TIMEOUT)

    recorded = RecordingHandler(work)
    broker.send(queue_group.work.name, *(b"%d" % n for n in range(5)))
    with consuming(broker, queue_group, per_message(recorded), prefetch=5) as consumer:
        begun.wait(TIMEOUT)
        consumer.stop()
        wait_until(lambda: broker.length(queue_group.work.name) == 4, TIMEOUT)
        finish.set()
    assert recorded.bodies == [b"0"]
    assert broker.length(queue_group.work.name) == 4


def test_a_lost_connection_costs_no_attempt(broker, queue_group):
    begun, finish = threading.Event(), threading.Event()

    def work(message):
        if message.body == b"long" and not finish.is_set():
            begun.set()
            finish.wait(TIMEOUT)

    recorded = RecordingHandler(work)
    broker.send(queue_group.work.name, b"long", b"next")
    with consuming(broker, queue_group, per_message(recorded)):
        begun.wait(TIMEOUT)
        broker.close_connections_named("test")
        finish.set()
        wait_until(
            lambda: recorded.bodies.count(b"next") >= 1 and broker.length(queue_group.work.name) == 0, TIMEOUT
        )
    assert recorded.bodies.count(b"long") == 2  # once without an acknowledgement, once with
    assert {message.attempt for message in recorded.seen} == {1}


def test_a_deleted_queue_is_restored(broker, queue_group):
    recorded = RecordingHandler()
    with consuming(broker, queue_group, per_message(recorded)) as consumer:
        wait_until(lambda: consumer.health.readiness() == "", TIMEOUT)
        with broker.channel() as channel:
            channel.queue_delete(queue_group.work.name)
        wait_until(lambda: broker.exists(queue_group.work.name) and consumer.health.readiness() == "", TIMEOUT)
        broker.send(queue_group.work.name, b"after")
        wait_until(lambda: recorded.bodies == [b"after"], TIMEOUT)


@pytest.mark.parametrize("unavailable", [False, True])
def test_a_message_held_too_long_for_the_broker_costs_only_a_connection(stack, broker, queue_group, unavailable):
    """``unavailable``: nothing is consumed meanwhile, since another message needs an unavailable dependency."""
    finish = threading.Event()

    def work(message):
        if message.body == b"long":
            finish.wait(TIMEOUT)
        elif not finish.is_set():
            raise DependencyUnavailable("minio")

    def probe():
        if not finish.is_set():
            raise DependencyUnavailable("minio")

    recorded = RecordingHandler(work)

    def is_requeued():
        return broker.length(queue_group.work.name) == 2 if unavailable else recorded.bodies.count(b"long") == 2

    with short_ack_timeout(stack):
        broker.send(queue_group.work.name, b"long", *([b"other"] if unavailable else []))
        with consuming(
            broker, queue_group, per_message(recorded), workers=2, prefetch=2, probes={"minio": probe}
        ) as consumer:
            wait_until(lambda: b"long" in recorded.bodies, TIMEOUT)
            wait_until(is_requeued, TIMEOUT, "the broker to requeue the message")
            finish.set()
            wait_until(lambda: recorded.bodies.count(b"long") == 2, TIMEOUT, "the message to be handled again")
            wait_until(
                lambda: broker.length(queue_group.work.name) == 0 and not consumer.health.readiness(), TIMEOUT
            )
    assert {message.attempt for message in recorded.seen} == {1}
    assert broker.length(dead_letter_queue_name(queue_group.work.name)) == 0


def test_a_message_that_crashed_four_consumers_runs_alone_and_is_dead_lettered(broker, queue_group):
    broker.send(queue_group.work.name, b"poison")
    for _ in range(4):
        broker.take_and_die(queue_group.work.name)

    def fail(_message):
        raise KeyError("again")

    recorded = RecordingHandler(fail)
    with consuming(broker, queue_group, per_message(recorded)):
        wait_until(lambda: broker.length(dead_letter_queue_name(queue_group.work.name)) == 1, TIMEOUT)
    assert [(message.attempt, message.is_possible_poison) for message in recorded.seen] == [(1, True)]


def test_messages_are_published_as_persistent(broker, queue_group):
    """The publisher sets the properties: persistent, confirmed, mandatory."""
    broker.send(queue_group.work.name, b"kept")
    with broker.channel() as channel:
        _, properties, _ = channel.basic_get(queue_group.work.name, auto_ack=True)
    assert properties.delivery_mode == pika.DeliveryMode.Persistent.value
