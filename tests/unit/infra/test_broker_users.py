"""RabbitMQ's permissions: enough for what each service declares and does, and no more."""

import base64
import hashlib
import re

import pytest

from pipeline import events, topology
from rabbitmq.users import SECRETS, TOPIC_PERMISSIONS, define_users, hash_password, permissions

IMAGES = topology.image_family().queues
TRACKER = topology.tracker_family().queues
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


def test_minio_declares_and_fills_one_exchange():
    assert allowed("minio") == ({"storage.events"}, {"storage.events"}, set())


def test_the_gateway_publishes_lifecycle_events_and_nothing_else():
    assert allowed("gateway") == (set(), {"image.lifecycle"}, set())


@pytest.mark.parametrize(("user", "family"), [("thumbnailer", IMAGES), ("status-tracker", TRACKER)])
def test_a_consumer_can_declare_and_bind_its_own_family(user, family):
    configure, write, read = allowed(user)
    assert configure == {*EXCHANGES, *(queue.name for queue in family)}
    for queue in family:
        assert queue.name in write, "to bind it"
        assert queue.name in read, "to consume it, or to dead-letter from it"
        assert {binding.exchange for binding in queue.bindings} <= read, "to bind to it"
        if "x-dead-letter-exchange" in queue.arguments:
            assert "amq.default" in write, "to dead-letter through it"


def test_a_consumer_has_no_hand_in_the_others_family():
    thumbnailer, tracker = allowed("thumbnailer"), allowed("status-tracker")
    others = {queue.name for queue in TRACKER} | {"unrouted", "other", "amq.topic"}
    assert not others & set().union(*thumbnailer)
    assert tracker[2] & {queue.name for queue in IMAGES} == {"image_queue", "image_queue.dead"}, "to count them"
    assert not {queue.name for queue in IMAGES} & (tracker[0] | tracker[1])


def test_an_operator_takes_dead_letters_and_sends_them_back_and_nothing_else():
    dead = {"image_queue.dead", "status_tracker.dead"}
    assert allowed("operator") == (set(), {"image.lifecycle", "image.retry"}, dead)
    assert re.search(permissions("my.images")["operator"][2], "my.images.dead")


def sayable(user):
    """What the user may say on image.lifecycle."""
    write, _ = TOPIC_PERMISSIONS[user, topology.LIFECYCLE]
    return {kind.value for kind in events.Kind if re.search(write, kind.value)}


def test_each_says_only_what_is_its_own_to_say():
    others = sayable("gateway") | sayable("status-tracker") | sayable("operator")
    assert others == {"upload.requested", "tracker.watermark", "image.redriven", "image.dropped"}
    assert sayable("thumbnailer") == {kind.value for kind in events.Kind} - others - {
        "tracker.healed"
    }  # written alone


@pytest.mark.parametrize(
    ("key", "user"),
    [(topology.INSTANT, "minio"), (topology.LEDGER, "minio"), (topology.RECOVERED, "status-tracker")],
)
def test_storage_events_come_from_minio_and_again_from_the_tracker(key, user):
    writers = {
        name
        for (name, exchange), (write, _) in TOPIC_PERMISSIONS.items()
        if exchange == topology.STORAGE_EVENTS and re.search(write, key)
    }
    assert writers == {user}


def test_whoever_may_write_to_a_topic_exchange_has_its_topics_named():
    named = {
        (user, exchange)
        for user in SECRETS
        if user != "admin"
        for exchange in (topology.STORAGE_EVENTS, topology.LIFECYCLE)
        if exchange in allowed(user)[1]
    }
    assert named <= TOPIC_PERMISSIONS.keys()


def test_another_image_queue_moves_the_permissions():
    configure, write, read = (re.compile(pattern) for pattern in permissions("my.images")["thumbnailer"])
    for name in ("my.images", "my.images.retry.5s", "my.images.dead"):
        assert configure.search(name), name
        assert write.search(name), name
        assert read.search(name), name
    assert not configure.search("my-images")
    assert not configure.search("image_queue")


def test_a_password_hash_is_salt_and_digest():
    expected = b"\x01\x02\x03\x04" + hashlib.sha256(b"\x01\x02\x03\x04secret").digest()
    assert base64.b64decode(hash_password("secret", b"\x01\x02\x03\x04")) == expected


def test_definitions_hold_no_password():
    found = define_users(dict.fromkeys(SECRETS, "plain-text"), "image_queue")
    assert "plain-text" not in str(found)
    assert {user["name"] for user in found["users"] if "administrator" in user["tags"]} == {"admin"}
