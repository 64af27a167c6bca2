"""Reading a dead letter queue changes nothing, and removing a message removes no other."""

import json
import urllib.request
from base64 import b64encode

import pika
import pytest
from pydantic import SecretStr

from tests.support.waiting import wait_until
from thumbmill.core.contracts.cloud_event import to_cloud_event
from thumbmill.core.contracts.interventions import Redriven
from thumbmill.core.contracts.system_events import Watermark
from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.messaging.dead_letters import DeadLetterReader
from thumbmill.core.messaging.definitions import DEAD_LETTER_DELIVERY_LIMIT
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.messaging.topology import RETRY

DEAD = "status_tracker.dead"  # a quorum queue with the policies of all dead letter queues
READS = 25  # more than RabbitMQ 4 allows without a policy


@pytest.fixture
def operator(broker, stack):
    """The settings of the user for operators."""
    password = SecretStr(stack.installation.secrets["OPERATOR_RABBITMQ_PASSWORD"])
    return broker.settings.model_copy(update={"rabbitmq_user": "operator", "rabbitmq_password": password})


@pytest.fixture
def dead(broker):
    """Three dead letters."""
    broker.send(DEAD, b"one", b"two", b"three")
    yield DEAD
    with broker.channel() as channel:
        channel.queue_purge(DEAD)


def bodies(reader):
    return [message.body for message in reader.peek(DEAD)]


def test_reading_changes_nothing_however_often(broker, operator, dead):
    for _ in range(READS):
        with DeadLetterReader(operator, "test") as reader:
            assert bodies(reader) == [b"one", b"two", b"three"]
        wait_until(lambda: broker.length(DEAD) == 3, what="the messages to be requeued")
    with DeadLetterReader(operator, "test") as reader:
        assert {message.headers["x-delivery-count"] for message in reader.peek(DEAD)} == {READS}


def test_the_delivery_limit_of_a_dead_letter_queue_is_out_of_reach(broker):
    credentials = f"{broker.settings.rabbitmq_user}:{broker.settings.rabbitmq_password.get_secret_value()}"
    for queue in ("image_queue.dead", DEAD):
        request = urllib.request.Request(f"{broker.management}/api/queues/%2F/{queue}")  # noqa: S310 - our own
        request.add_header("Authorization", "Basic " + b64encode(credentials.encode()).decode())

        def effective(request=request):
            with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
                return json.load(response).get("effective_policy_definition")

        assert wait_until(effective, what="the queue's policy") == {"delivery-limit": DEAD_LETTER_DELIVERY_LIMIT}


def test_a_removed_message_is_deleted_and_the_others_are_requeued(broker, operator, dead):
    with DeadLetterReader(operator, "test") as reader:
        for message in reader.peek(DEAD):
            if message.body == b"two":
                reader.remove(message)
        assert broker.length(DEAD) == 0, "all messages are held"
    wait_until(lambda: broker.length(DEAD) == 2, what="the others to be requeued")
    with DeadLetterReader(operator, "test") as reader:
        assert bodies(reader) == [b"one", b"three"]


def test_a_message_that_is_dead_lettered_meanwhile_is_not_read(broker, operator, dead):
    read = []
    with DeadLetterReader(operator, "test") as reader:
        for message in reader.peek(DEAD):
            broker.send(DEAD, b"again " + message.body)
            read.append(message.body)
            reader.remove(message)
    assert read == [b"one", b"two", b"three"]
    assert broker.length(DEAD) == 3


def test_a_lost_connection_requeues_what_was_held(broker, operator, dead):
    reader = DeadLetterReader(operator, "test lost")
    messages = reader.peek(DEAD)
    first = next(messages)
    broker.close_connections_named("test lost")
    with pytest.raises(DependencyUnavailable):
        wait_until(lambda: reader.wait(0.1), 10, "the loss to be detected")
    with pytest.raises(DependencyUnavailable):
        reader.remove(first)
    wait_until(lambda: broker.length(DEAD) == 3, what="the message to be requeued")


def test_a_message_is_read_with_its_properties(broker, operator, dead):
    with broker.channel() as channel:
        channel.queue_purge(DEAD)
        properties = pika.BasicProperties(content_type="text/x", message_id="m", headers={"x-reason": "because"})
        channel.confirm_delivery()
        channel.basic_publish("", DEAD, b"body", properties)
    with DeadLetterReader(operator, "test") as reader:
        [message] = reader.peek(DEAD)
    assert (message.queue, message.body, message.content_type, message.message_id) == (DEAD, b"body", "text/x", "m")
    assert message.headers["x-reason"] == "because"


def test_an_operator_has_no_more_permissions_than_needed(operator, dead):
    event = Redriven(key="k", operator="ada", queue="image_queue", code="x", run_id="1")
    with Publisher(operator, "test") as publisher:
        publisher.publish_event(to_cloud_event(event, by="cli"))
        for exchange, key in (
            ("", DEAD),
            (RETRY, DEAD),
            ("storage.events", "immediate"),
            ("image.lifecycle", "image.done"),
        ):
            with pytest.raises(DependencyRejected, match="permissions of operator"):
                publisher.publish(exchange, key, b"{}")
        with pytest.raises(DependencyRejected):
            publisher.publish_event(to_cloud_event(Watermark(), by="cli"))
    for queue in ("image_queue", "status_tracker", "unrouted"):
        with (
            DeadLetterReader(operator, "test") as reader,
            pytest.raises(DependencyRejected, match="access to queue"),
        ):
            next(reader.peek(queue))


def test_a_rejected_login_and_an_unreachable_broker_are_distinguished(operator):
    with pytest.raises(DependencyRejected, match="RABBITMQ_USER"):
        DeadLetterReader(operator.model_copy(update={"rabbitmq_password": SecretStr("wrong")}), "test")
    with pytest.raises(DependencyUnavailable):
        DeadLetterReader(operator.model_copy(update={"rabbitmq_port": 1}), "test")
