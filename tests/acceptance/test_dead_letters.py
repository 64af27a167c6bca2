"""Dead letters from an operator's view: listed, redriven, dropped and recorded, with crashes meanwhile."""

import json
import signal

import pika
import pytest

from tests.support.degraded_servers import denied, low_delivery_limit
from tests.support.images import photo, red_quarter
from tests.support.messages import wait_idle, wait_tracker
from tests.support.operator_cli import NAME, dead_letters, running, thumbmill
from tests.support.waiting import wait_until

DEAD = "image_queue.dead"


@pytest.fixture
def no_dead(system):
    """Begin and end without dead letters."""
    queues = (DEAD, "status_tracker.dead")
    assert [system.message_count(queue) for queue in queues] == [0, 0]
    yield
    for queue in queues:
        system.drain(queue)


def publish_dead(system, *listed, queue="image_queue"):
    """Publish dead letters as the services do: bodies with their headers."""
    with system.channel() as channel:
        channel.confirm_delivery()
        for body, headers in listed:
            properties = pika.BasicProperties(
                content_type="application/json", delivery_mode=2, headers={"x-routing-key": "immediate", **headers}
            )
            channel.basic_publish("", f"{queue}.dead", body, properties, mandatory=True)


def upload_events(system, number, prefix):
    """Store images, wait for their thumbnails, and return MinIO's event of each."""
    with system.channel() as channel:
        queue = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(queue, "storage.events", "immediate")
        bodies = {}
        for n in range(number):
            system.put(f"{prefix}/{n}.jpg", photo(seed=n + 1))
            key = f"images-original/{prefix}/{n}.jpg"
            body = wait_until(lambda: channel.basic_get(queue, auto_ack=True)[2], what="the bucket's event")
            assert json.loads(body)["Key"] == key
            bodies[system.wait_key(f"{prefix}/{n}.jpg")["id"]] = body
    return bodies


def notes(system, image_id, kind="image.redriven"):
    return [event for event in system.events(image_id) if event["type"] == kind]


def immediate_events(system, image_id):
    return [event for event in system.events(image_id) if event["recorded_by"] == "immediate"]


EXHAUSTED = {"x-attempt": 4, "x-reason": "OSError: no luck", "x-error-code": "attempts_exhausted"}


def test_a_message_at_the_delivery_limit_is_redriven_and_done(system, no_dead):
    with low_delivery_limit(system), denied(system, "s3:PutObject"):
        image = system.post_form(photo(orientation=3))
        wait_until(lambda: system.message_count(DEAD) == 1, 60, "the broker to dead-letter the message")
        failed = system.wait_status(image["id"], "FAILED")
    assert (failed["error"]["code"], failed["error"]["retryable"]) == ("attempts_exhausted", True)
    assert [event["recorded_by"] for event in notes(system, image["id"], "image.failed")] == ["/rabbitmq"]

    [found] = dead_letters(system)
    assert found["images"] == [{"id": image["id"], "key": image["key"]}]
    assert (found["code"], found["queue"], found["redriven_by"]) == ("delivery_limit", "image_queue", None)
    table = thumbmill(system, "dead", "list")
    assert all(text in table for text in (found["id"], image["id"], image["key"], "delivery_limit", f"{DEAD}: 1"))
    whole = thumbmill(system, "dead", "show", image["id"])
    assert '"reason": "delivery_limit"' in whole
    assert '"eTag"' in whole

    output = thumbmill(system, "dead", "redrive", "--id", image["id"], "--dry-run")
    assert "1 dead letter would be redriven" in output
    wait_tracker(system)
    assert system.message_count(DEAD) == 1
    assert notes(system, image["id"]) == []
    assert system.image(image["id"])["status"] == "FAILED"

    assert "1 dead letter redriven (1 delivery_limit)" in thumbmill(
        system, "dead", "redrive", "--reason", "delivery_limit"
    )
    done = wait_until(
        lambda: (now := system.image(image["id"]))["status"] == "DONE" and now, 30, "the redriven image to be DONE"
    )
    assert (done["attempts"], done["error"], done["generation"]) == (1, None, 1)
    assert red_quarter(system.thumbnail(image["id"])) == "right lower"
    assert system.message_count(DEAD) == 0
    [note] = notes(system, image["id"])
    assert note["recorded_by"] == "/cli"
    assert (note["data"]["operator"], note["data"]["code"]) == (NAME, "delivery_limit")
    types = system.timeline(image["id"])
    assert types.index("image.failed") < types.index("image.redriven") < types.index("image.done")
    assert notes(system, image["id"], "image.done")[0]["data"]["run_id"] == note["data"]["run_id"]


def test_a_redriven_image_that_fails_again_is_failed(system, no_dead):
    [(image_id, body)] = upload_events(system, 1, "again").items()
    publish_dead(system, (body, EXHAUSTED))
    with low_delivery_limit(system), denied(system, "s3:PutObject"):
        thumbmill(system, "dead", "redrive", "--all")
        wait_until(lambda: notes(system, image_id, "image.failed"), 60, "the second failure in the timeline")
        wait_until(lambda: system.message_count(DEAD) == 1, what="the dead letter to return")
    [found] = dead_letters(system)
    assert (found["code"], found["redriven_by"]) == ("delivery_limit", NAME)
    assert system.image(image_id)["status"] == "DONE", "its thumbnails exist"


def test_drop_removes_only_the_selected_dead_letters(system, no_dead):
    [(image_id, body)] = upload_events(system, 1, "drop").items()
    publish_dead(system, (body, EXHAUSTED), (b"\x1b[31mgarbage", {"x-reason": "malformed event: no JSON"}))
    publish_dead(system, (b"other garbage", {"x-reason": "malformed event: no JSON"}), queue="status_tracker")
    listed = dead_letters(system)
    assert sorted(found["code"] for found in listed) == [
        "attempts_exhausted",
        "malformed_event",
        "malformed_event",
    ]
    garbage = next(found for found in listed if found["queue"] == "image_queue" and not found["images"])
    assert "\\x1b[31mgarbage" in thumbmill(system, "dead", "show", garbage["id"])

    assert "give --yes" in thumbmill(system, "dead", "drop", "--id", garbage["id"], code=2)
    assert "would be dropped" in thumbmill(system, "dead", "drop", "--all", "--dry-run")
    assert len(dead_letters(system)) == 3
    thumbmill(system, "dead", "drop", "--id", garbage["id"], "--yes")
    assert len(dead_letters(system, "--queue", "image_queue")) == 1
    thumbmill(system, "dead", "drop", "--all", "--queue", "image_queue", "--yes")
    assert [found["queue"] for found in dead_letters(system)] == ["status_tracker"]
    wait_tracker(system)
    [note] = notes(system, image_id, "image.dropped")
    assert (note["recorded_by"], note["data"]["operator"]) == ("/cli", NAME)
    assert system.image(image_id)["status"] == "DONE"


def test_a_dead_letter_of_the_tracker_returns_to_the_tracker_only(system, no_dead):
    [(image_id, body)] = upload_events(system, 1, "tracker").items()
    late = json.loads(body)
    late["Records"][0]["s3"]["object"]["sequencer"] = "18B" + "0" * 13  # another event about the same object
    publish_dead(system, (json.dumps(late).encode(), EXHAUSTED), queue="status_tracker")
    wait_idle(system)
    thumbmill(system, "dead", "redrive", "--id", image_id)
    wait_until(lambda: len(immediate_events(system, image_id)) == 2, what="the tracker to record it")
    wait_idle(system)
    assert len(notes(system, image_id, "image.done")) == 1
    assert notes(system, image_id)[0]["data"]["queue"] == "status_tracker"


@pytest.mark.parametrize("point", ["after_record", "after_redrive"])
def test_a_redrive_killed_between_two_steps_loses_nothing(system, no_dead, point):
    [(image_id, body)] = upload_events(system, 1, f"killed {point}").items()
    publish_dead(system, (body, EXHAUSTED))
    thumbmill(system, "dead", "redrive", "--all", code=-signal.SIGKILL, crash_at=point)
    wait_until(lambda: system.message_count(DEAD) == 1, what="the dead letter to return")
    thumbmill(system, "dead", "redrive", "--all")
    wait_until(lambda: notes(system, image_id, "image.done")[-1]["data"]["run_id"], what="the later run to be done")
    wait_idle(system)
    assert system.message_count(DEAD) == 0
    # Once the first redrive's run is done, the tracker may drop the returned dead letter before the second redrive.
    dropped = notes(system, image_id, "image.dropped") if point == "after_redrive" else []
    assert len(notes(system, image_id)) + len(dropped) == 2
    assert system.image(image_id)["status"] == "DONE"


def test_a_redrive_of_many_can_be_killed_and_interrupted(system, no_dead):
    bodies = upload_events(system, 12, "many")
    publish_dead(system, *((body, EXHAUSTED) for body in bodies.values()))

    def redriven():
        return {image_id for image_id in bodies if notes(system, image_id)}

    with running(system, "dead", "redrive", "--all", "--rate", "5") as program:
        wait_until(lambda: system.message_count(DEAD) <= 9, what="some to be redriven")  # the timeline may be late
        program.kill()
    wait_until(lambda: system.message_count(DEAD) + len(redriven()) >= 12, what="the rest to return")
    assert 0 < system.message_count(DEAD) < 12

    before = system.message_count(DEAD)
    with running(system, "dead", "redrive", "--all", "--rate", "2") as program:
        wait_until(lambda: system.message_count(DEAD) < before - 1, what="some more to be redriven")
        program.send_signal(signal.SIGTERM)
        _, output = program.communicate(timeout=30)
    assert program.returncode == 130
    assert "are still in their queues" in output
    moved = int(output.split()[0])
    wait_until(lambda: system.message_count(DEAD) == before - moved, what="the others to return")

    thumbmill(system, "dead", "redrive", "--all")
    assert system.message_count(DEAD) == 0
    for image_id in bodies:
        wait_until(lambda id_=image_id: notes(system, id_, "image.done")[-1]["data"]["run_id"], what="a later run")
    assert redriven() == bodies.keys()
    assert {system.image(image_id)["status"] for image_id in bodies} == {"DONE"}


@pytest.mark.parametrize(
    ("arguments", "settings", "code", "text"),
    [
        (["redrive"], {}, 2, "give --id, --reason, or --all"),
        (["drop"], {}, 2, "give --id, --reason, or --all"),
        (["redrive", "--all", "--id", "x"], {}, 2, "cannot be combined"),
        (["redrive", "--reason", "no_such"], {}, 3, "0 dead letters redriven"),
        (["list", "--id", "0123"], {}, 3, "no dead letter matches"),
        (["show", "0123"], {}, 3, "no dead letter 0123"),
        (["list", "--queue", "elsewhere"], {}, 2, "image_queue and status_tracker"),
        (["list"], {"RABBITMQ_PASSWORD": "wrong"}, 1, "check RABBITMQ_USER and RABBITMQ_PASSWORD"),
        (["list"], {"RABBITMQ_PORT": "1"}, 1, "RABBITMQ_PORT=1"),
        (["list"], {"THUMBMILL_ENV_FILE": "/nowhere"}, 2, "RABBITMQ_PASSWORD: is required"),
    ],
)
def test_wrong_usage_explains_the_right_one(system, no_dead, arguments, settings, code, text):
    publish_dead(system, (b"garbage", {"x-reason": "malformed event: no JSON"}))
    output = thumbmill(system, "dead", *arguments, code=code, **settings)
    assert text in output
    assert "Traceback" not in output
    assert system.message_count(DEAD) == 1


def test_a_selection_without_matches_is_reported_for_empty_queues_too(system, no_dead):
    assert "no dead letter matches" in thumbmill(system, "dead", "redrive", "--id", "0123", code=3)
    assert "0 dead letters redriven" in thumbmill(system, "dead", "redrive", "--all", code=0)
