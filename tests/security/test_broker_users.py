"""The permissions of each RabbitMQ user: its own work, and nothing that would let it act as another."""

import json
import uuid
from datetime import UTC, datetime

import pika
import pytest
from pika.exceptions import ChannelClosedByBroker

from tests.support.images import photo
from tests.support.messages import CLOUD_EVENT, wait_tracker
from tests.support.waiting import wait_until

USERS = ("gateway", "thumbnailer", "status-tracker", "operator", "minio")
PUBLISHED_BY = {
    "gateway": {
        *("upload.requested", "upload.expired", "image.retry_requested", "image.variants_missing"),
        *("reconciliation.requested", "redrive.requested"),
    },
    "thumbnailer": {
        *("image.processing", "image.retrying", "image.done", "image.failed", "image.removed"),
        "worker.alive",
    },
    "status-tracker": {"upload.expired", "tracker.watermark"},
    "operator": {"image.redriven", "image.dropped"},
    "minio": set(),
}
EVERYTHING = sorted(set().union(*PUBLISHED_BY.values()) | {"tracker.repaired", "image.done.x", "anything"})

EXCHANGES = ("storage.events", "image.lifecycle", "message.retry")
DELAYS = ("5s", "30s", "5m")
FAMILIES = {
    work: [work, *(f"{work}.delay.{delay}" for delay in DELAYS), f"{work}.dead"]
    for work in ("image_queue", "status_tracker")
}
# From RabbitMQ 4 on, a queue's length requires some permission, and the tracker reads those of others.
READABLE = {
    "thumbnailer": set(FAMILIES["image_queue"]),
    "status-tracker": {*FAMILIES["status_tracker"], "image_queue", "image_queue.dead", "unrouted"},
    "operator": {"image_queue.dead", "status_tracker.dead"},
}
QUEUES = [*FAMILIES["image_queue"], *FAMILIES["status_tracker"], "unrouted"]


def is_refused(system, user, action):
    """Return whether the broker denies an action. Raise any other error."""
    with system.channel(user) as channel:
        try:
            action(channel)
        except ChannelClosedByBroker as error:
            if error.reply_code != 403:
                raise
            return True
    return False


def publishing(exchange, key, body=b"{}", **properties):
    def publish(channel):
        channel.confirm_delivery()  # or the refusal would come after the test
        channel.basic_publish(exchange, key, body, pika.BasicProperties(delivery_mode=2, **properties))

    return publish


# --- denied by the broker ------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", USERS)
def test_a_user_publishes_its_own_events(system, user):
    refused = {
        key for key in EVERYTHING if is_refused(system, user, publishing("image.lifecycle", key, b"no event"))
    }
    assert refused == set(EVERYTHING) - PUBLISHED_BY[user]
    wait_tracker(system)
    system.drain("status_tracker.dead")


@pytest.mark.parametrize("user", USERS)
def test_a_user_cannot_publish_as_another_user(system, user):
    [key] = sorted(PUBLISHED_BY[user])[:1] or ["immediate"]
    exchange = "image.lifecycle" if PUBLISHED_BY[user] else "storage.events"
    for other in {*USERS, "admin"} - {user}:
        with system.channel(user) as channel, pytest.raises(ChannelClosedByBroker) as refusal:
            publishing(exchange, key, user_id=other)(channel)
        assert refusal.value.reply_code == 406, "user_id is not the connection's user"


@pytest.mark.parametrize("user", USERS)
def test_storage_events_come_from_minio_and_republished_from_the_tracker(system, user):
    allowed = {"minio": {"immediate", "durable"}, "status-tracker": {"republished"}}.get(user, set())
    keys = {"immediate", "durable", "republished", "anything"}
    foreign = json.dumps({"Records": []}).encode()
    assert keys - {k for k in keys if is_refused(system, user, publishing("storage.events", k, foreign))} == allowed
    wait_tracker(system)
    wait_until(lambda: system.message_count("image_queue") == 0)
    for queue in ("image_queue.dead", "status_tracker.dead"):
        system.drain(queue)


@pytest.mark.parametrize("user", USERS)
def test_a_user_moves_messages_within_its_own_queues_only(system, user):
    allowed = {
        "thumbnailer": set(FAMILIES["image_queue"]),
        "status-tracker": set(FAMILIES["status_tracker"]),
        "operator": {"image_queue", "status_tracker"},
    }.get(user, set())
    passed = {k for k in QUEUES if not is_refused(system, user, publishing("message.retry", k, b"no event"))}
    assert passed == allowed
    for queue in QUEUES:
        if ".delay." in queue:
            with system.channel() as channel:
                channel.queue_purge(queue)
    wait_tracker(system)
    wait_until(lambda: system.message_count("image_queue") == 0)
    for queue in ("image_queue.dead", "status_tracker.dead"):
        system.drain(queue)


@pytest.mark.parametrize("user", USERS)
def test_no_user_publishes_to_the_default_exchange(system, user):
    """A user that may use the default exchange can write into every queue."""
    assert all(is_refused(system, user, publishing("", queue)) for queue in QUEUES)


@pytest.mark.parametrize("user", USERS)
def test_a_user_reads_its_own_queues_only(system, user):
    readable = READABLE.get(user, set())
    queues = set(QUEUES) - {"image_queue", "status_tracker"}  # which have consumers; messages are requeued
    read = {q for q in queues if not is_refused(system, user, lambda channel, q=q: channel.basic_get(q))}
    assert read == readable & queues
    for work in {"image_queue", "status_tracker"} - readable:
        assert is_refused(system, user, lambda channel, q=work: channel.basic_consume(q, print))


@pytest.mark.parametrize("user", USERS)
def test_a_user_declares_binds_and_deletes_its_own_queues_only(system, user):
    own = {"thumbnailer": FAMILIES["image_queue"], "status-tracker": FAMILIES["status_tracker"]}.get(user, [])
    exchanges = {"thumbnailer": EXCHANGES, "status-tracker": EXCHANGES, "minio": ("storage.events",)}.get(user, ())
    for queue in {*QUEUES, "another"} - set(own):
        assert is_refused(system, user, lambda channel, q=queue: channel.queue_declare(q, durable=True)), queue
        assert is_refused(system, user, lambda channel, q=queue: channel.queue_delete(q)), queue
        if queue not in READABLE.get(user, set()):  # who may read may purge
            assert is_refused(system, user, lambda channel, q=queue: channel.queue_purge(q)), queue
        for exchange in EXCHANGES:
            bind = lambda channel, q=queue, e=exchange: channel.queue_bind(q, e, "#")  # noqa: E731
            assert is_refused(system, user, bind), queue
    for exchange in {*EXCHANGES, "another"} - set(exchanges):
        declare = lambda channel, e=exchange: channel.exchange_declare(e, "topic", durable=True)  # noqa: E731
        assert is_refused(system, user, declare), exchange
    for exchange in exchanges:  # which the services declare again
        declare = lambda channel, e=exchange: channel.exchange_declare(e, "topic", durable=True)  # noqa: E731
        assert not is_refused(system, user, declare), exchange


@pytest.mark.parametrize("user", ["thumbnailer", "status-tracker"])
def test_a_consumer_restores_all_of_its_queues(system, user):
    """It needs only its own login. The work queues are not deleted, since they are in use."""
    work = "image_queue" if user == "thumbnailer" else "status_tracker"
    for queue in FAMILIES[work][1:]:
        with system.channel() as channel:
            channel.queue_delete(queue)
        arguments = {"x-queue-type": "quorum"}
        if ".delay." in queue:
            seconds = {"5s": 5, "30s": 30, "5m": 300}[queue.rpartition(".")[2]]
            arguments |= {
                "x-message-ttl": seconds * 1000,
                "x-dead-letter-exchange": "message.retry",
                "x-dead-letter-routing-key": work,
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            }
        with system.channel(user) as channel:
            channel.queue_declare(queue, durable=True, arguments=arguments)
            channel.queue_bind(queue, "message.retry", queue)
    if user == "thumbnailer":  # the tracker's copies
        with system.channel("status-tracker") as channel:
            channel.queue_bind("status_tracker", "message.retry", "image_queue.dead")


# --- rejected by the tracker ---------------------------------------------------------------------------------


def forge(kind, image, by, **data):
    """Return a lifecycle event about an image, as anyone can forge it who knows the contract."""
    return json.dumps(
        {
            "specversion": "1.0",
            "id": str(uuid.uuid4()),
            "source": by,
            "type": f"thumbmill.{kind}.v1",
            "time": datetime.now(UTC).isoformat(),
            "subject": image["id"],
            "data": {"key": image["key"], **data},
        }
    ).encode()


def object_version_of(system, image):
    [(object_version,)] = system.query("SELECT object_version FROM images WHERE id = %s", image["id"])
    etag, size, modified = object_version.split("/")
    return {"etag": etag, "size": int(size), "modified": int(modified)}


def forge_events(system, image, by):
    """Return an event of each type that would change the image or its timeline if it were accepted."""
    about = {"object_version": object_version_of(system, image), "run_id": "9999"}
    variant = {"type": "thumbnail", "key": image_key(image), "width": 1, "height": 1, "bytes": 1}
    details = {"sha256": "0" * 64, "width": 1, "height": 1, "format": "JPEG"}
    done = {**about, **details, "variants": [{**variant, "content_type": "image/jpeg"}]}
    note = {"operator": "mallory", "queue": "image_queue", "code": "x", "run_id": "9999"}
    error = {"code": "empty_file", "detail": "forged", "retryable": False}
    return {
        "upload.requested": forge(
            "upload.requested", image, by, content_type="x/y", expires_at="2999-01-01T00:00:00Z"
        ),
        "upload.expired": forge("upload.expired", image, by, expires_at="2026-01-01T00:00:00Z"),
        "image.processing": forge("image.processing", image, by, **about, attempt=3),
        "image.retrying": forge(
            "image.retrying", image, by, **about, next_attempt_at="2999-01-01T00:00:00Z", reason="forged"
        ),
        "image.done": forge("image.done", image, by, **done),
        "image.failed": forge("image.failed", image, by, **about, error=error),
        "image.removed": forge("image.removed", image, by, cause="forged"),
        "image.redriven": forge("image.redriven", image, by, **note),
        "image.dropped": forge("image.dropped", image, by, **note),
        "image.retry_requested": forge("image.retry_requested", image, by, **about, after=""),
        "image.variants_missing": forge("image.variants_missing", image, by, **about, missing=[image_key(image)]),
        "tracker.repaired": forge("tracker.repaired", image, by, what="missed", run_id="9999"),
    }


def image_key(image):
    return f"{image['id']}/{'0' * 16}-1.1/thumbnail.jpeg"


def make_image(system, seed=0):
    """Return an image that is DONE, without further events."""
    image = system.wait_status(system.post_form(photo(seed=seed))["id"])
    wait_until(
        lambda: system.timeline(image["id"]).count("storage.ObjectCreated:Put") == 2,
        what="the events of both targets",
    )
    return system.image(image["id"])


def settled(system, image):
    wait_tracker(system)
    return system.image(image["id"]), system.timeline(image["id"])


@pytest.mark.parametrize("user", USERS)
def test_an_event_must_match_its_routing_key(system, user):
    """The broker checks the routing key, the tracker the body: both must agree."""
    image = make_image(system)
    before = settled(system, image)
    keys = [("image.lifecycle", key) for key in sorted(PUBLISHED_BY[user] - {"tracker.watermark"})]
    keys += [("storage.events", "immediate")] if user == "minio" else []
    keys += [("message.retry", "status_tracker")] if user in {"operator", "status-tracker"} else []
    sent = 0
    for exchange, key in keys:
        for by in (f"/{user}", "/cli", "/thumbnailer"):
            for kind, body in forge_events(system, image, by).items():
                if kind == key and kind in PUBLISHED_BY[user]:
                    continue  # its own event
                for named in (None, user):
                    forged = {"x-routing-key": kind, "x-exchange": "image.lifecycle", "x-author": "thumbnailer"}
                    if (exchange, user) == ("message.retry", "status-tracker") and named:
                        continue  # moved by the tracker itself
                    publish = publishing(
                        exchange, key, body, content_type=CLOUD_EVENT, user_id=named, headers=forged
                    )
                    assert not is_refused(system, user, publish)
                    sent += 1
    wait_until(
        lambda: system.message_count("status_tracker.dead") == sent,
        what=f"{sent} forged events to be dead-lettered",
    )
    assert settled(system, image) == before
    reasons = [headers["x-reason"] for _, headers in system.drain("status_tracker.dead")]
    assert all(reason.startswith("malformed event: ") for reason in reasons)
    wait_until(lambda: system.message_count("image_queue") == 0)
    system.drain("image_queue.dead")


def test_a_storage_event_is_accepted_from_minio_only(system):
    """With the gateway's login and its own routing key: a deletion, and a message at the delivery limit."""
    image = make_image(system)
    before = settled(system, image)
    record = {"s3": {"bucket": {"name": "images-original"}, "object": {"key": image["key"], "sequencer": "17A"}}}
    body = json.dumps({"Records": [{"eventName": "s3:ObjectRemoved:Delete", **record}]}).encode()
    limit = {
        "x-death": [{"reason": "delivery_limit", "queue": "image_queue", "count": 1}],
        "x-gave-up": "image_queue",
    }
    for headers in ({}, limit, {"x-routing-key": "immediate", "x-exchange": "storage.events"}):
        publish = publishing(
            "image.lifecycle", "upload.requested", body, content_type="application/json", headers=headers
        )
        assert not is_refused(system, "gateway", publish)
    wait_until(lambda: system.message_count("status_tracker.dead") == 3, what="the forged events")
    assert settled(system, image) == before
    system.drain("status_tracker.dead")


# --- variants -------------------------------------------------------------------------------------------------


def test_a_thumbnailer_cannot_publish_another_image_s_variant_or_a_page(system):
    """Its user may publish an image's variants, but not what a browser would run, or another image's variant."""
    victim = make_image(system, 1)
    image = make_image(system, 2)
    [(variants,)] = system.query("SELECT variants FROM images WHERE id = %s", victim["id"])
    other = variants[0]
    before = settled(system, image)
    own = {**other, "key": image_key(image)}
    details = {"sha256": "0" * 64, "width": 1, "height": 1, "format": "JPEG", "run_id": "9999"}
    wrong = [other, *({**own, "content_type": kind} for kind in ("text/html", "image/svg+xml", "IMAGE/JPEG", ""))]
    for variant in wrong:
        body = forge(
            "image.done",
            image,
            "/thumbnailer",
            object_version=object_version_of(system, image),
            **details,
            variants=[variant],
        )
        publish = publishing("image.lifecycle", "image.done", body, content_type=CLOUD_EVENT, user_id="thumbnailer")
        assert not is_refused(system, "thumbnailer", publish)
    wait_until(
        lambda: system.message_count("status_tracker.dead") == len(wrong),
        what="the forged events",
    )
    assert settled(system, image) == before
    system.drain("status_tracker.dead")


@pytest.mark.parametrize("change", ["key", "content_type"])
def test_a_row_forged_earlier_shows_nothing_either(system, change):
    """Downloads check the same list as events: an older version may have accepted more."""
    victim = make_image(system, 1)
    image = make_image(system, 2)
    [(others,)] = system.query("SELECT variants FROM images WHERE id = %s", victim["id"])
    [(variants,)] = system.query("SELECT variants FROM images WHERE id = %s", image["id"])
    values = {"key": others[0]["key"], "content_type": "text/html"}
    forged = [{**variants[0], change: values[change]}, *variants[1:]]
    update = "UPDATE images SET variants = %s::jsonb WHERE id = %s RETURNING 1"
    assert system.query(update, json.dumps(forged), image["id"])
    name = variants[0]["type"]
    answer = system.http.get(f"/api/v1/images/{image['id']}/variants/{name}")
    assert answer.status_code == 404, answer.headers
    assert name not in {variant["type"] for variant in system.image(image["id"])["variants"]}
    assert system.thumbnail(image["id"], variants[1]["type"])
