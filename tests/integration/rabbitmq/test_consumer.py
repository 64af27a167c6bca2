"""The ack table, row by row, on a real RabbitMQ."""

import threading
from collections.abc import Callable
from contextlib import contextmanager
from datetime import timedelta

import pika
import pytest

from tests.support.degraded_servers import impatient
from tests.support.waiting import wait_until
from thumbmill.core.errors import DependencyUnavailable, MalformedEvent, RetryLater
from thumbmill.core.messaging.consumer import Consumer
from thumbmill.core.messaging.retry_policy import DELAYS
from thumbmill.core.messaging.session import declare
from thumbmill.core.messaging.topology import Queue, QueueGroup, dead_letter_queue_name, delay_queue_name
from thumbmill.core.messaging.workers import per_message

PATIENCE = 20


@pytest.fixture
def family(broker, request):
    """A queue family of this test's own, gone afterwards."""
    family = QueueGroup(Queue(f"test.{request.node.name[:60]}.{threading.get_native_id()}", ()))
    with broker.channel() as channel:
        declare(channel, family)
    yield family
    with broker.channel() as channel:
        for queue in family.queues:
            channel.queue_delete(queue.name)


@pytest.fixture
def quick(monkeypatch):
    """Delays of a fraction of a second; to be asked for before ``family``."""
    for delay in DELAYS:
        monkeypatch.setitem(DELAYS, delay, timedelta(milliseconds=150))


@contextmanager
def consuming(broker, family, handle: Callable, **options):
    consumer = Consumer(name="test", broker=broker.settings, queue_group=family, handle=handle, **options)
    thread = threading.Thread(target=consumer.run)
    thread.start()
    try:
        yield consumer
    finally:
        consumer.stop()
        thread.join(30)
        assert not thread.is_alive()


class Record:
    """What a handler was given, and what it is to do about it."""

    def __init__(self, respond=lambda _message: None):
        self.seen = []
        self.respond = respond

    def __call__(self, message, _publisher):
        self.seen.append(message)
        self.respond(message)

    @property
    def bodies(self):
        return [message.body for message in self.seen]


def test_a_message_whose_handler_returns_is_gone(broker, family):
    record = Record()
    broker.send(family.work.name, b"one", b"two")
    with consuming(broker, family, per_message(record)):
        wait_until(lambda: len(record.seen) == 2, PATIENCE)
    assert broker.length(family.work.name) == 0


def test_a_fault_comes_back_three_times_and_ends_in_the_dead_queue(quick, broker, family):
    announced = []

    def fail(_message):
        raise KeyError("broken")

    record = Record(fail)
    broker.send(family.work.name, b"poison")
    with consuming(
        broker,
        family,
        per_message(record),
        on_failure=lambda m, v, _p: announced.append((m.attempt, v.action.value)),
    ):
        wait_until(lambda: broker.length(dead_letter_queue_name(family.work.name)), PATIENCE)
    assert [message.attempt for message in record.seen] == [1, 2, 3, 4]
    assert announced == [(1, "delay"), (2, "delay"), (3, "delay"), (4, "dead_letter")]
    body, headers = broker.take(dead_letter_queue_name(family.work.name))
    assert body == b"poison"
    assert headers["x-reason"] == "KeyError: 'broken'"
    assert headers["x-error-code"] == "attempts_exhausted"


def test_later_costs_no_attempt(quick, broker, family):
    def busy_five_times(message):
        if message.deferrals < 5:
            raise RetryLater("busy")

    record = Record(busy_five_times)
    broker.send(family.work.name, b"x")
    with consuming(broker, family, per_message(record)):
        wait_until(lambda: len(record.seen) == 6, PATIENCE)
    assert {message.attempt for message in record.seen} == {1}
    assert broker.length(family.work.name) == 0


def test_garbage_is_kept_with_its_reason_and_the_next_message_is_handled(broker, family):
    def parse(message):
        if message.body == b"garbage":
            raise MalformedEvent("no JSON")

    record = Record(parse)
    broker.send(family.work.name, b"garbage", b"good")
    with consuming(broker, family, per_message(record)):
        wait_until(lambda: len(record.seen) == 2, PATIENCE)
        wait_until(lambda: broker.length(dead_letter_queue_name(family.work.name)) == 1, PATIENCE)
    assert broker.take(dead_letter_queue_name(family.work.name))[1]["x-reason"] == "malformed event: no JSON"


def test_nothing_is_consumed_while_a_dependency_is_away(broker, family):
    back, probes = threading.Event(), []

    def need(_message):
        if not back.is_set():
            raise DependencyUnavailable("minio", "gone")

    def probe():
        probes.append(1)
        if not back.is_set():
            raise DependencyUnavailable("minio", "still gone")

    record = Record(need)
    broker.send(family.work.name, *(b"%d" % n for n in range(10)))
    with consuming(broker, family, per_message(record), probes={"minio": probe}, prefetch=4, workers=2) as consumer:
        wait_until(lambda: len(probes) >= 4, PATIENCE)
        assert len(record.seen) <= 4
        assert consumer.readiness() == "waits for minio"
        assert broker.length(family.work.name) == 10  # given back, not held
        back.set()
        wait_until(lambda: len(record.seen) >= 10 + 2 and broker.length(family.work.name) == 0, PATIENCE)
        wait_until(lambda: consumer.readiness() == "", PATIENCE)
    assert {message.attempt for message in record.seen} == {1}
    assert broker.length(dead_letter_queue_name(family.work.name)) == 0
    assert broker.length(delay_queue_name(family.work.name, "5s")) == 0


def test_in_a_batch_only_the_offender_pays(broker, family):
    batches = []

    def handle(messages, _publisher):
        batches.append([message.body for message in messages])
        if b"bad" in batches[-1]:
            raise ValueError("cannot be written")

    broker.send(family.work.name, b"1", b"bad", b"3")
    with consuming(broker, family, handle, prefetch=10, batch=10):
        wait_until(lambda: broker.length(delay_queue_name(family.work.name, "5s")) == 1, PATIENCE)
        assert broker.take(delay_queue_name(family.work.name, "5s"))[0] == b"bad"
    assert broker.length(family.work.name) == 0
    assert [b"1"] in batches or [b"1", b"bad", b"3"] not in batches


def test_stopping_finishes_what_is_in_hand_and_gives_back_the_rest(broker, family):
    begun, finish = threading.Event(), threading.Event()

    def work(_message):
        begun.set()
        finish.wait(PATIENCE)

    record = Record(work)
    broker.send(family.work.name, *(b"%d" % n for n in range(5)))
    with consuming(broker, family, per_message(record), prefetch=5) as consumer:
        begun.wait(PATIENCE)
        consumer.stop()
        wait_until(lambda: broker.length(family.work.name) == 4, PATIENCE)
        finish.set()
    assert record.bodies == [b"0"]
    assert broker.length(family.work.name) == 4


def test_a_lost_connection_costs_nothing(broker, family):
    begun, finish = threading.Event(), threading.Event()

    def work(message):
        if message.body == b"long" and not finish.is_set():
            begun.set()
            finish.wait(PATIENCE)

    record = Record(work)
    broker.send(family.work.name, b"long", b"next")
    with consuming(broker, family, per_message(record)):
        begun.wait(PATIENCE)
        broker.close_connections_named("test")
        finish.set()
        wait_until(lambda: record.bodies.count(b"next") >= 1 and broker.length(family.work.name) == 0, PATIENCE)
    assert record.bodies.count(b"long") == 2  # once without an acknowledgement, once with
    assert {message.attempt for message in record.seen} == {1}


def test_a_deleted_queue_comes_back(broker, family):
    record = Record()
    with consuming(broker, family, per_message(record)) as consumer:
        wait_until(lambda: consumer.readiness() == "", PATIENCE)
        with broker.channel() as channel:
            channel.queue_delete(family.work.name)
        wait_until(lambda: broker.exists(family.work.name) and consumer.readiness() == "", PATIENCE)
        broker.send(family.work.name, b"after")
        wait_until(lambda: record.bodies == [b"after"], PATIENCE)


@pytest.mark.parametrize("away", [False, True])
def test_a_message_held_too_long_for_the_broker_costs_a_connection_and_no_more(stack, broker, family, away):
    """``away``: meanwhile nothing is consumed, since another message found a dependency away."""
    finish = threading.Event()

    def work(message):
        if message.body == b"long":
            finish.wait(PATIENCE)
        elif not finish.is_set():
            raise DependencyUnavailable("minio")

    def probe():
        if not finish.is_set():
            raise DependencyUnavailable("minio")

    record = Record(work)

    def is_taken_back():
        return broker.length(family.work.name) == 2 if away else record.bodies.count(b"long") == 2

    with impatient(stack):
        broker.send(family.work.name, b"long", *([b"other"] if away else []))
        with consuming(
            broker, family, per_message(record), workers=2, prefetch=2, probes={"minio": probe}
        ) as consumer:
            wait_until(lambda: b"long" in record.bodies, PATIENCE)
            wait_until(is_taken_back, PATIENCE, "the broker to take the message back")
            finish.set()
            wait_until(lambda: record.bodies.count(b"long") == 2, PATIENCE, "the message to be handled again")
            wait_until(lambda: broker.length(family.work.name) == 0 and not consumer.readiness(), PATIENCE)
    assert {message.attempt for message in record.seen} == {1}
    assert broker.length(dead_letter_queue_name(family.work.name)) == 0


def test_a_message_that_four_consumers_died_of_runs_alone_and_fails_for_good(broker, family):
    broker.send(family.work.name, b"suspect")
    for _ in range(4):
        broker.take_and_die(family.work.name)

    def fail(_message):
        raise KeyError("again")

    record = Record(fail)
    with consuming(broker, family, per_message(record)):
        wait_until(lambda: broker.length(dead_letter_queue_name(family.work.name)) == 1, PATIENCE)
    assert [(message.attempt, message.is_possible_poison) for message in record.seen] == [(1, True)]


def test_messages_survive_that_nobody_consumes(broker, family):
    """The properties of a publish are ours: persistent, confirmed, mandatory."""
    broker.send(family.work.name, b"kept")
    with broker.channel() as channel:
        _, properties, _ = channel.basic_get(family.work.name, auto_ack=True)
    assert properties.delivery_mode == pika.DeliveryMode.Persistent.value
