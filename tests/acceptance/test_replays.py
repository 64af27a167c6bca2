"""Old events, events of other versions, and events about variants: accepted without an effect."""

import json

import pytest

from tests.support.images import opened, photo
from tests.support.messages import listening, post, purge, settled, wait_idle, wait_tracker
from tests.support.system import ORIGINALS, PROCESSED
from tests.support.waiting import wait_until


def test_replayed_old_events_change_nothing(system):
    """All events of images that have since been replaced, deleted, processed again and failed."""
    with (
        listening(system, "storage.events", "immediate", "durable") as bucket,
        listening(system, "image.lifecycle", "image.*") as lifecycle,
    ):
        system.put("week/replaced.jpg", photo(64, 48))
        system.put("week/deleted.jpg", photo(64, 48, seed=1))
        system.put("week/again.jpg", photo(64, 48, seed=2))
        system.put("week/failed.jpg", photo(64, 48, seed=3))
        ids = {
            name: system.wait_key(f"week/{name}.jpg")["id"] for name in ("replaced", "deleted", "again", "failed")
        }
        system.put("week/replaced.jpg", photo(48, 64))
        system.put("week/failed.jpg", b"not an image any more")
        for name in ("deleted", "again"):
            system.s3.delete_object(Bucket=ORIGINALS, Key=f"week/{name}.jpg")
            system.wait_removed(ids[name])
        system.put("week/again.jpg", photo(80, 40))
        system.wait_generation(ids["replaced"], 2)
        system.wait_generation(ids["again"], 2)
        wait_until(lambda: system.image(ids["failed"])["status"] == "FAILED", what="the failure")
        wait_idle(system)
        observed = bucket.take(2 * 9) + lifecycle.take(4 * 2 + 3 * 2 + 2)
        wait_tracker(system)  # it records the durable events after this listener received them
    before = everything(system, ids)
    superseded = system.metric("THUMBNAILER_HEALTH_PORT", 'thumbmill_events_processed_total{outcome="superseded"}')

    post(system, observed)
    post(system, reversed(observed))
    wait_idle(system)

    assert everything(system, ids) == before
    assert opened(system.thumbnail(ids["replaced"])).size == (48, 64)
    assert {name: system.image(id_)["status"] for name, id_ in ids.items()} == {
        "replaced": "DONE", "deleted": "DELETED", "again": "DONE", "failed": "FAILED"
    }  # fmt: skip
    assert (
        system.metric("THUMBNAILER_HEALTH_PORT", 'thumbmill_events_processed_total{outcome="superseded"}')
        > superseded
    )
    for queue in ("image_queue.dead", "status_tracker.dead"):
        assert system.message_count(queue) == 0


# An old upload of an object deleted since leads to one more image.removed.
TIMELINE = """
    SELECT id, recorded FROM image_timeline WHERE image_id = ANY(%s::uuid[]) AND type <> 'image.removed'
"""


def everything(system, ids):
    """Return the rows, timelines and objects of images."""
    wanted = list(ids.values())
    return (
        sorted(system.query("SELECT * FROM image_status WHERE id = ANY(%s::uuid[])", wanted)),
        sorted(system.query(TIMELINE, wanted)),
        [system.keys(PROCESSED, f"{id_}/") for id_ in wanted],
    )


# --- versions --------------------------------------------------------------------------------------------------


def as_newer(event):
    """Add unknown fields everywhere, as a later version may."""
    more = {"added_later": {"x": [1]}}
    return event | more | {"data": event["data"] | more}


def as_older(event):
    """Remove details, damage, runs and traces, which an earlier version did not have."""
    younger = {"details", "damaged", "run_id", "attempt", "file_name", "content_type"}
    return {name: value for name, value in event.items() if name != "traceparent"} | {
        "data": {name: value for name, value in event["data"].items() if name not in younger}
    }


@pytest.mark.parametrize("changed", [as_newer, as_older])
def test_events_of_another_version_are_understood(system, stack, changed):
    with system.stopped("status-tracker"):
        with (
            listening(system, "storage.events", "immediate", "durable") as bucket,
            listening(system, "image.lifecycle", "image.*") as lifecycle,
        ):
            image_id = system.post_form(photo(orientation=3))["id"]
            events = lifecycle.take(2)
            bucket.take(2)
        purge(system, "status_tracker")
        post(
            system,
            [message._replace(body=json.dumps(changed(json.loads(message.body))).encode()) for message in events],
        )
    image = system.wait_status(image_id)
    assert [variant["type"] for variant in image["variants"]] == ["original", "thumbnail", "small", "large"]
    assert system.timeline(image_id) == ["image.processing", "image.done"]
    assert system.message_count("status_tracker.dead") == 0


def test_an_event_of_an_unknown_type_is_kept_and_can_be_redriven(system):
    with listening(system, "image.lifecycle", "image.done") as lifecycle:
        image_id = system.post_form(photo())["id"]
        [done] = lifecycle.take(1)
    system.wait_status(image_id)
    unknown = json.loads(done.body) | {
        "type": "thumbmill.image.done.v2",
        "id": "00000000-0000-5000-8000-000000000001",
    }
    post(system, [done._replace(body=json.dumps(unknown).encode())])
    wait_until(lambda: system.message_count("status_tracker.dead") == 1, what="the dead letter")
    system.wait_status(system.post_form(photo(seed=1))["id"])
    [(body, headers)] = system.drain("status_tracker.dead")
    assert json.loads(body) == unknown
    assert headers["x-reason"].startswith("malformed event: ")


# --- our own thumbnails ------------------------------------------------------------------------------------------


@pytest.fixture
def misconfigured(system):
    """Have MinIO send events of the bucket of variants, too."""
    rules = system.s3.get_bucket_notification_configuration(Bucket=ORIGINALS)
    wrong = {"QueueConfigurations": rules["QueueConfigurations"]}
    system.s3.put_bucket_notification_configuration(Bucket=PROCESSED, NotificationConfiguration=wrong)
    yield
    system.s3.put_bucket_notification_configuration(Bucket=PROCESSED, NotificationConfiguration={})


def test_events_about_thumbnails_create_no_images(system, misconfigured):
    images = system.query("SELECT count(*) FROM image_status")[0][0]
    before = settled(system, "THUMBNAILER_HEALTH_PORT")["ack"]
    image_id = system.post_form(photo())["id"]
    system.wait_status(image_id)
    wait_until(lambda: settled(system, "THUMBNAILER_HEALTH_PORT")["ack"] >= before + 4, what="four events")
    wait_idle(system)
    assert settled(system, "THUMBNAILER_HEALTH_PORT")["ack"] == before + 4, (
        "one of the photo, three of its variants"
    )
    assert system.query("SELECT count(*) FROM image_status")[0][0] == images + 1
    assert len(system.keys(PROCESSED, f"{image_id}/")) == 3
