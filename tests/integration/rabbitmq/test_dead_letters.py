"""Looking through a dead queue costs nothing, and taking a letter out of it takes that letter alone."""

import json
import urllib.request
from base64 import b64encode

import pika
import pytest
from pydantic import SecretStr

from tests.support.waiting import wait_until
from thumbmill.core.contracts.cloud_event import to_cloud_event
from thumbmill.core.contracts.events import Redriven, Watermark
from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.messaging.dead_letters import DeadLetterReader
from thumbmill.core.messaging.definitions import DEAD_LETTER_DELIVERY_LIMIT
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.messaging.topology import RETRY

DEAD = "status_tracker.dead"  # a quorum queue with the policies that they all have
LOOKS = 25  # more than 4.x allows where no policy says otherwise


@pytest.fixture
def operator(broker, stack):
    """The settings of the user that people have."""
    password = SecretStr(stack.installation.secrets["OPERATOR_RABBITMQ_PASSWORD"])
    return broker.settings.model_copy(update={"rabbitmq_user": "operator", "rabbitmq_password": password})


@pytest.fixture
def dead(broker):
    """Three letters."""
    broker.send(DEAD, b"one", b"two", b"three")
    yield DEAD
    with broker.channel() as channel:
        channel.queue_purge(DEAD)


def bodies(reader):
    return [letter.body for letter in reader.peek(DEAD)]


def test_looking_leaves_everything_as_it_was_however_often(broker, operator, dead):
    for _ in range(LOOKS):
        with DeadLetterReader(operator, "test") as reader:
            assert bodies(reader) == [b"one", b"two", b"three"]
        wait_until(lambda: broker.length(DEAD) == 3, what="the letters to be back")
    with DeadLetterReader(operator, "test") as reader:
        assert {letter.headers["x-delivery-count"] for letter in reader.peek(DEAD)} == {LOOKS}


def test_the_limit_of_a_dead_queue_is_out_of_reach(broker):
    login = f"{broker.settings.rabbitmq_user}:{broker.settings.rabbitmq_password.get_secret_value()}"
    for queue in ("image_queue.dead", DEAD):
        request = urllib.request.Request(f"{broker.management}/api/queues/%2F/{queue}")  # noqa: S310 - our own
        request.add_header("Authorization", "Basic " + b64encode(login.encode()).decode())

        def effective(request=request):
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                return json.load(answer).get("effective_policy_definition")

        assert wait_until(effective, what="the queue's policy") == {"delivery-limit": DEAD_LETTER_DELIVERY_LIMIT}


def test_what_is_removed_is_gone_and_the_rest_is_back(broker, operator, dead):
    with DeadLetterReader(operator, "test") as reader:
        for letter in reader.peek(DEAD):
            if letter.body == b"two":
                reader.remove(letter)
        assert broker.length(DEAD) == 0, "all of it is held"
    wait_until(lambda: broker.length(DEAD) == 2, what="the others to be back")
    with DeadLetterReader(operator, "test") as reader:
        assert bodies(reader) == [b"one", b"three"]


def test_what_dies_meanwhile_is_not_met(broker, operator, dead):
    met = []
    with DeadLetterReader(operator, "test") as reader:
        for letter in reader.peek(DEAD):
            broker.send(DEAD, b"again " + letter.body)
            met.append(letter.body)
            reader.remove(letter)
    assert met == [b"one", b"two", b"three"]
    assert broker.length(DEAD) == 3


def test_a_lost_connection_gives_back_what_was_held(broker, operator, dead):
    reader = DeadLetterReader(operator, "test lost")
    letters = reader.peek(DEAD)
    first = next(letters)
    broker.close_connections_named("test lost")
    with pytest.raises(DependencyUnavailable):
        wait_until(lambda: reader.wait(0.1), 10, "the loss to be noticed")
    with pytest.raises(DependencyUnavailable):
        reader.remove(first)
    wait_until(lambda: broker.length(DEAD) == 3, what="the letter to be back")


def test_a_letter_is_given_with_all_that_came_with_it(broker, operator, dead):
    with broker.channel() as channel:
        channel.queue_purge(DEAD)
        properties = pika.BasicProperties(content_type="text/x", message_id="m", headers={"x-reason": "because"})
        channel.confirm_delivery()
        channel.basic_publish("", DEAD, b"body", properties)
    with DeadLetterReader(operator, "test") as reader:
        [letter] = reader.peek(DEAD)
    assert (letter.queue, letter.body, letter.content_type, letter.message_id) == (DEAD, b"body", "text/x", "m")
    assert letter.headers["x-reason"] == "because"


def test_an_operator_may_do_no_more_than_it_has_to(operator, dead):
    note = Redriven(key="k", operator="ada", queue="image_queue", code="x", run_id="1")
    with Publisher(operator, "test") as publisher:
        publisher.publish_event(to_cloud_event(note, by="cli"))
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


def test_refusals_and_absence_are_told_apart(operator):
    with pytest.raises(DependencyRejected, match="RABBITMQ_USER"):
        DeadLetterReader(operator.model_copy(update={"rabbitmq_password": SecretStr("wrong")}), "test")
    with pytest.raises(DependencyUnavailable):
        DeadLetterReader(operator.model_copy(update={"rabbitmq_port": 1}), "test")
