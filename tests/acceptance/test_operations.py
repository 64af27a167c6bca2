"""The operator's endpoints on the running system: failures, redrives, reconciliation and the state of the parts."""

import hashlib
import json
import signal
import uuid

import pika

from tests.support.fault_injection.launch import unharmed
from tests.support.images import faulty_photo, photo
from tests.support.messages import listening, wait_tracker
from tests.support.system import PROCESSED, problem
from tests.support.waiting import wait_until

API = "/api/v1"
DEAD = "image_queue.dead"
KEY = "a-key-of-an-operator"


def get(system, path):
    answer = system.http.get(f"{API}/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def order(system, path, status=202, **body):
    answer = system.http.post(f"{API}/{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def wait_order(system, path):
    """Wait until an order has ended; return it."""
    return wait_until(lambda: (found := get(system, path))["state"] == "done" and found, 60, f"{path} to be done")


def problems_of(system, component):
    """Return what the system says about a part."""
    return [one for one in get(system, "system")["problems"] if one["component"] == component and one["what_to_do"]]


def events(system, image_id, kind):
    return [event for event in system.events(image_id) if event["type"] == kind]


def publish_dead(system, body):
    """Publish a dead letter of the thumbnailer, as it does itself."""
    headers = {"x-routing-key": "immediate", "x-reason": "no luck", "x-error-code": "attempts_exhausted"}
    with system.channel() as channel:
        channel.confirm_delivery()
        properties = pika.BasicProperties(content_type="application/json", delivery_mode=2, headers=headers)
        channel.basic_publish("", DEAD, body, properties, mandatory=True)


def test_failures_are_counted_and_redriven_as_the_preview_says(system):
    """The cause is fixed by another decoder: the image fails by its time, and one fails again."""
    system.query(
        "UPDATE images SET updated_at = updated_at - interval '2 days' WHERE status = 'FAILED' RETURNING 1"
    )
    with listening(system, "storage.events", "immediate") as listener:
        spinning = system.post_form(faulty_photo("spin"))["id"]
        [announced] = listener.take(1)
    crashing = system.post_form(faulty_photo("crash"))["id"]
    for image_id in (spinning, crashing):
        system.wait_status(image_id, "FAILED", timeout=60)
    publish_dead(system, announced.body)

    def read_dead_letters():
        return [one for one in get(system, "system")["dead_letters"] if one["queue"] == DEAD and one["items"]]

    [queue] = wait_until(read_dead_letters, 60, "the dead letter with its reason")
    assert problems_of(system, DEAD)
    assert [(one["image_id"], one["superseded"]) for one in queue["items"]] == [(spinning, False)]
    assert queue["reasons"] == {"attempts_exhausted": 1}

    def summarized():
        return {one["code"]: one for one in get(system, "summary")["failures"] if one["last_hour"]}

    found = wait_until(lambda: len(codes := summarized()) == 2 and codes, 30, "the failures of this hour")
    assert {code: one["last_hour"] for code, one in found.items()} == {"decoder_timeout": 1, "decoder_crashed": 1}
    assert {code: one["retryable"] for code, one in found.items()} == {
        "decoder_timeout": True,
        "decoder_crashed": False,
    }

    scope = {"codes": ["decoder_timeout", "decoder_crashed"], "since": system.image(spinning)["created_at"]}
    with (
        system.restarted("thumbnailer", command=unharmed(system.stack, "thumbnailer")),
        system.restarted("gateway", API_KEYS=KEY),
    ):
        system.http.headers["X-API-Key"] = KEY
        preview = order(system, "redrives", 200, dry_run=True, **scope)["preview"]
        assert (preview["images"], preview["codes"]) == (1, {"decoder_timeout": 1})
        assert [(one["code"], one["images"]) for one in preview["not_retryable"]] == [("decoder_crashed", 1)]
        assert system.image(spinning)["status"] == "FAILED"

        ordered = order(system, "redrives", **scope)
        assert ordered["preview"]["images"] == 1
        path = f"redrives/{ordered['redrive']['id']}"
        wait_order(system, path)
        system.wait_status(spinning)
        redrive = get(system, path)
        assert (redrive["progress"]["redriven"], redrive["progress"]["done"]) == (preview["images"], 1)
        assert [(one["image_id"], one["code"], one["result"]) for one in redrive["images"]] == [
            (spinning, "decoder_timeout", "done")
        ]
        assert order(system, "redrives", 200, dry_run=True, **scope)["preview"]["images"] == 0
        who = f"API key {hashlib.sha256(KEY.encode()).hexdigest()[:16]}"
        [asked] = events(system, spinning, "image.retry_requested")
        assert (asked["recorded_by"], asked["data"]["operator"], redrive["requested_by"]) == ("/gateway", who, who)
        assert system.image(crashing)["status"] == "FAILED"

        one = f"{API}/images/{crashing}/redrive"
        assert problem(system.http.post(one), 409) == "not_retryable"
        assert order(system, f"images/{crashing}/redrive", force=True)["status"] != "FAILED"
        system.wait_status(crashing)
        assert problem(system.http.post(one), 409) == "not_failed"
        assert events(system, crashing, "image.retry_requested")[0]["data"]["operator"] == who

        wait_until(lambda: system.message_count(DEAD) == 0, 60, "the superseded dead letter to be dropped")
        wait_until(lambda: not problems_of(system, DEAD), 60, "no problem with dead letters")
    [dropped] = events(system, spinning, "image.dropped")
    assert (dropped["recorded_by"], dropped["data"]["queue"]) == ("/status-tracker", "image_queue")


def test_reconciliation_is_ordered_and_shows_what_it_repairs(system):
    image_id = system.wait_status(system.post_form(photo())["id"])["id"]
    [key] = [key for key in system.keys(PROCESSED, f"{image_id}/") if "/thumbnail." in key]
    system.s3.delete_object(Bucket=PROCESSED, Key=key)
    for dry_run in (True, False):
        ordered = order(system, "reconciliations", dry_run=dry_run)
        run = wait_order(system, f"reconciliations/{ordered['id']}")
        assert (run["dry_run"], run["requested_by"], run["objects"] > 0) == (dry_run, "anonymous", True)
        assert run["found"]["missing_variants"] == 1
        [image] = [one for one in run["images"] if one["image_id"] == image_id]
        assert (image["drift"], image["repaired"], image["key"]) == (
            "missing_variants",
            not dry_run,
            f"uploads/{image_id}/original",
        )
    wait_until(lambda: system.keys(PROCESSED, key), 30, "the variant to be generated again")
    assert len(events(system, image_id, "tracker.repaired")) == 1, "the dry run changed nothing"
    assert get(system, "reconciliations")["items"][0]["id"] == run["id"], "the newest first"


def test_a_killed_thumbnailer_is_a_problem_until_another_one_runs(system):
    # Of those that tests of other files killed, the long interval of the shared stack does not tell for days.
    earlier = {one["id"] for one in get(system, "system")["workers"]}
    with system.restarted("thumbnailer", HEARTBEAT_INTERVAL_SECONDS="1"):
        [worker] = wait_until(
            lambda: [one for one in get(system, "system")["workers"] if one["id"] not in earlier],
            30,
            "a running worker",
        )
        assert not worker["missing"]
        assert worker["process_id"] > 0
        wait_until(lambda: not problems_of(system, "thumbnailer"), 30, "no problem with thumbnailers")
        system.stack.signal("thumbnailer", signal.SIGSTOP)  # as dead as one whose machine is off
        said = wait_until(
            lambda: any(str(worker["process_id"]) in one["problem"] for one in problems_of(system, "thumbnailer")),
            60,
            "the worker to be reported as missing",
        )
        assert said
        system.stack.signal("thumbnailer", signal.SIGCONT)
        wait_until(lambda: not problems_of(system, "thumbnailer"), 30, "the worker to be back")
    wait_tracker(system)
    assert worker["id"] not in {one["id"] for one in get(system, "system")["workers"]}, "it has stopped cleanly"


def test_orders_can_be_switched_off(system):
    image_id = system.post_form(photo())["id"]
    paths = {"reconciliations": {}, "redrives": {"codes": ["decoder_timeout"]}, f"images/{image_id}/redrive": {}}
    with system.restarted("gateway", OPERATOR_ACTIONS="false"):
        for path, body in paths.items():
            answer = system.http.post(f"{API}/{path}", content=json.dumps(body))
            assert problem(answer, 403) == "operator_actions_off"
        assert get(system, "system")["operator_actions"] is False
    assert get(system, "system")["operator_actions"] is True


def test_an_order_that_is_not_recorded_yet_is_not_reported_as_unknown(system):
    with system.frozen("status-tracker"):
        ordered = order(system, "reconciliations", dry_run=True)
        assert ordered["state"] == "requested"
        path = f"{API}/reconciliations/{ordered['id']}"
        assert problem(system.http.get(path), 503) == "not_caught_up"
    wait_order(system, f"reconciliations/{ordered['id']}")
    assert problem(system.http.get(f"{API}/reconciliations/{uuid.uuid4()}"), 404) == "order_not_found"
