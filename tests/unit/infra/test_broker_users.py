"""RabbitMQ's permissions: enough for what each service declares and does, and no more."""

import base64
import hashlib
import re

import pytest

from infra.rabbitmq.users import SECRETS, define_users, hash_password, permissions, topic_permissions
from thumbmill.core.contracts import events, senders
from thumbmill.core.messaging import topology

IMAGES = topology.thumbnailer_queues().queues
TRACKER = topology.tracker_queues().queues
EXCHANGES = [exchange.name for exchange in topology.EXCHANGES]
EVERYTHING = [
    *EXCHANGES,
    "amq.default",
    "amq.topic",
    *(queue.name for queue in (*IMAGES, *TRACKER)),
    "unrouted",
    "other",
]


def allowed(user, queue="image_queue"):
    configure, write, read = permissions(queue)[user]
    return tuple({name for name in EVERYTHING if re.search(pattern, name)} for pattern in (configure, write, read))


def test_every_user_has_permissions_and_a_secret():
    assert permissions("image_queue").keys() == SECRETS.keys()


def test_minio_declares_and_publishes_to_one_exchange():
    assert allowed("minio") == ({"storage.events"}, {"storage.events"}, set())


def test_the_gateway_publishes_lifecycle_events_and_nothing_else():
    assert allowed("gateway") == (set(), {"image.lifecycle"}, set())


@pytest.mark.parametrize(("user", "family"), [("thumbnailer", IMAGES), ("status-tracker", TRACKER)])
def test_a_consumer_can_declare_and_bind_its_own_queues(user, family):
    configure, write, read = allowed(user)
    assert configure == {*EXCHANGES, *(queue.name for queue in family)}
    for queue in family:
        assert queue.name in write, "to bind it"
        assert queue.name in read, "to consume it, or to dead-letter from it"
        assert {binding.exchange for binding in queue.bindings} <= read, "to bind to it"
        if exchange := queue.arguments.get("x-dead-letter-exchange"):
            assert exchange in write, "to dead-letter through it"


def test_a_consumer_has_no_permission_on_the_queues_of_the_other():
    thumbnailer, tracker = allowed("thumbnailer"), allowed("status-tracker")
    others = {queue.name for queue in TRACKER} | {"unrouted", "other", "amq.topic"}
    assert not others & set().union(*thumbnailer)
    assert tracker[2] & {queue.name for queue in IMAGES} == {"image_queue", "image_queue.dead"}, "to count them"
    assert not {queue.name for queue in IMAGES} & (tracker[0] | tracker[1])


def test_an_operator_may_only_redrive_and_remove_dead_letters():
    dead = {"image_queue.dead", "status_tracker.dead"}
    assert allowed("operator") == (set(), {"image.lifecycle", "message.retry"}, dead)
    assert re.search(permissions("my.images")["operator"][2], "my.images.dead")


def writers(exchange, key):
    """The users who may publish to a topic exchange with this routing key."""
    return {
        user
        for (user, name), (write, _) in topic_permissions("image_queue").items()
        if name == exchange and exchange in allowed(user)[1] and re.search(write, key)
    }


@pytest.mark.parametrize("kind", events.EventType)
def test_the_broker_accepts_an_event_from_the_senders_that_the_tracker_accepts(kind):
    assert writers(topology.LIFECYCLE, kind.value) == set(senders.SENDERS.get(kind, ()))


@pytest.mark.parametrize(
    ("key", "user"),
    [(topology.IMMEDIATE, "minio"), (topology.DURABLE, "minio"), (topology.REPUBLISHED, "status-tracker")],
)
def test_minio_publishes_storage_events_and_the_tracker_republishes_them(key, user):
    assert writers(topology.STORAGE_EVENTS, key) == {user}


@pytest.mark.parametrize(("user", "family"), [("thumbnailer", IMAGES), ("status-tracker", TRACKER)])
def test_a_consumer_moves_messages_within_its_queues_and_operators_redrive_them(user, family):
    work, *others = (queue.name for queue in family)
    assert writers(topology.RETRY, work) == {user, "operator"}
    for name in others:
        assert writers(topology.RETRY, name) == {user}


def test_a_consumer_may_bind_with_the_keys_of_its_queues():
    topics = topology.EXCHANGES
    assert {exchange.type for exchange in topics} == {"topic"}, (
        "the broker checks routing keys on topic exchanges only"
    )
    for user, family in (("thumbnailer", IMAGES), ("status-tracker", TRACKER)):
        for binding in (binding for queue in family for binding in queue.bindings):
            read = topic_permissions("image_queue")[user, binding.exchange][1]
            assert re.search(read, binding.key), binding


def test_every_user_has_a_topic_permission_on_every_exchange():
    """Without a topic permission every routing key is allowed."""
    named = topic_permissions("image_queue").keys()
    assert named == {(user, name) for user in SECRETS if user != "admin" for name in EXCHANGES}


def test_permissions_follow_the_name_of_the_image_queue():
    configure, write, read = (re.compile(pattern) for pattern in permissions("my.images")["thumbnailer"])
    for name in ("my.images", "my.images.delay.5s", "my.images.dead"):
        assert configure.search(name), name
        assert write.search(name), name
        assert read.search(name), name
    assert not configure.search("my-images")
    assert not configure.search("image_queue")


def test_a_password_hash_is_salt_and_digest():
    expected = b"\x01\x02\x03\x04" + hashlib.sha256(b"\x01\x02\x03\x04secret").digest()
    assert base64.b64decode(hash_password("secret", b"\x01\x02\x03\x04")) == expected


def test_definitions_contain_no_password():
    found = define_users(dict.fromkeys(SECRETS, "plain-text"), "image_queue")
    assert "plain-text" not in str(found)
    assert {user["name"] for user in found["users"] if "administrator" in user["tags"]} == {"admin"}
