"""Retries of FAILED images by owners and operators, and lost variants that are restored."""

import re

import pytest

from tests.support.fault_injection.launch import unharmed
from tests.support.images import faulty_photo, opened, photo
from tests.support.messages import wait_idle
from tests.support.operator_cli import thumbmill
from tests.support.system import PRESETS, PROCESSED, problem
from tests.support.waiting import wait_until

IMAGES = "/api/v1/images"
UNKNOWN_ID = "01a2019e-dd49-7c49-9ece-607b56bd764f"
BRISK = {"RETRY_INTERVAL_SECONDS": "0"}


def retry(system, image_id):
    return system.http.post(f"{IMAGES}/{image_id}/retry")


def fail(system, fault="memory"):
    """Upload a good photo on which the faulty decoder fails; a normal decoder succeeds."""
    image_id = system.post_form(faulty_photo(fault))["id"]
    return system.wait_status(image_id, "FAILED", timeout=60)


def runs(system, image_id, kind):
    return [event["data"].get("run_id") for event in system.events(image_id) if event["type"] == kind]


def test_the_owner_retries_a_failed_image(system):
    image = fail(system)
    assert image["error"]["retryable"]
    with system.restarted("thumbnailer", command=unharmed(system.stack, "thumbnailer")):
        answer = retry(system, image["id"])
        assert answer.status_code == 202, answer.text
        assert answer.json()["status"] != "FAILED", "who asks next does not see the old failure"
        assert answer.headers["location"].endswith(f"{IMAGES}/{image['id']}")
        done = system.wait_status(image["id"])
    assert opened(system.thumbnail(image["id"])).size == (64, 64)
    assert (done["generation"], done["attempts"], done["error"]) == (1, 1, None)
    [run] = runs(system, image["id"], "image.retry_requested")
    assert runs(system, image["id"], "image.processing") == ["", run]
    assert runs(system, image["id"], "image.done") == [run]
    [asked] = [event for event in system.events(image["id"]) if event["type"] == "image.retry_requested"]
    assert asked["recorded_by"] == "/gateway"


def test_two_requests_cause_one_retry(system):
    image = fail(system)
    with system.stopped("thumbnailer"):
        with system.frozen("status-tracker"):
            answers = [retry(system, image["id"]) for _ in range(3)]
        assert {answer.status_code for answer in answers} == {202}
        system.wait_status(image["id"], "PENDING")
        assert problem(retry(system, image["id"]), 409) == "already_running"
        assert system.message_count("image_queue") == 1
    system.wait_status(image["id"], "FAILED", timeout=60)
    wait_idle(system)
    assert len(runs(system, image["id"], "image.retry_requested")) == 1
    assert len(runs(system, image["id"], "image.failed")) == 2
    answer = retry(system, image["id"])
    assert problem(answer, 429) == "retried_too_soon"
    assert 0 < int(answer.headers["retry-after"]) <= 61


def test_a_rejected_retry_reports_the_reason(system):
    notes = system.post_form(b"\xff\xd8\xff" + b"no image at all" * 9)["id"]
    assert not system.wait_status(notes, "FAILED")["error"]["retryable"]
    assert problem(retry(system, notes), 409) == "not_retryable"
    done = system.post_form(photo())["id"]
    system.wait_status(done)
    assert problem(retry(system, done), 409) == "not_failed"
    ticket = system.ticket()["id"]
    system.wait_status(ticket, "AWAITING_UPLOAD")
    assert problem(retry(system, ticket), 409) == "not_failed"
    system.http.delete(f"{IMAGES}/{done}")
    system.wait_status(done, "DELETED")
    assert problem(retry(system, done), 410) == "gone"
    assert problem(retry(system, UNKNOWN_ID), 404) == "image_not_found"
    assert problem(retry(system, "invalid"), 422) == "invalid_request"


def test_without_a_broker_a_retry_is_not_promised(system):
    image = fail(system)
    with system.stopped("rabbitmq"):
        assert problem(retry(system, image["id"]), 503) == "broker_unavailable"
        assert problem(system.http.post("/api/v1/reconciliations"), 503) == "broker_unavailable"

        def named():
            problems = system.http.get("/api/v1/system").json()["problems"]
            return [one["what_to_do"] for one in problems if one["component"] == "rabbitmq"]

        assert wait_until(named, 30, "the broker among the problems")[0].startswith("Start RabbitMQ")
    assert system.image(image["id"])["status"] == "FAILED"


def test_the_operator_retries_all_images_with_a_code(system):
    system.query(
        "UPDATE images SET updated_at = updated_at - interval '2 days' WHERE status = 'FAILED' RETURNING 1"
    )
    hungry, crashing = fail(system)["id"], fail(system, "crash")["id"]
    output = thumbmill(system, "retry", "--code", "decoder_out_of_memory", "--since", "1d", "--dry-run")
    assert hungry in output
    assert crashing not in output
    assert re.search(r"\b1 image would be retried", output), output
    assert system.image(hungry)["status"] == "FAILED"
    assert "--force" in thumbmill(system, "retry", "--code", "decoder_crashed", "--since", "1d", code=2)
    with system.restarted("thumbnailer", command=unharmed(system.stack, "thumbnailer")):
        output = thumbmill(system, "retry", "--code", "decoder_out_of_memory", "--since", "1d")
        assert re.search(r"\b1 image is being retried", output), output
        system.wait_status(hungry)
        assert system.image(crashing)["status"] == "FAILED"
        thumbmill(system, "retry", "--id", crashing, "--code", "decoder_crashed", "--since", "1d", "--force")
        system.wait_status(crashing)
    [asked] = [event for event in system.events(crashing) if event["type"] == "image.retry_requested"]
    assert (asked["recorded_by"], asked["data"]["operator"], asked["data"]["forced"]) == ("/cli", "ada", True)
    assert "no FAILED image" in thumbmill(
        system, "retry", "--code", "decoder_out_of_memory", "--since", "1d", code=3
    )


# --- variants that are lost ----------------------------------------------------------------------------------


def lose(system, image_id, preset="thumbnail"):
    [key] = [key for key in system.keys(PROCESSED, f"{image_id}/") if f"/{preset}." in key]
    system.s3.delete_object(Bucket=PROCESSED, Key=key)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_lost_variant_is_restored_and_never_reported_as_deleted(system, method):
    image = system.wait_status(system.post_form(photo())["id"])
    url = f"{IMAGES}/{image['id']}/variants/thumbnail"
    with system.frozen("thumbnailer"):
        lose(system, image["id"])
        answer = system.http.request(method, url)
        assert (answer.status_code, bool(answer.headers["retry-after"])) == (503, True)
        if method == "GET":
            assert problem(answer, 503) == "variant_lost"
        wait_until(lambda: system.image(image["id"])["missing"] == ["thumbnail"], 30, "a missing variant")
        current = system.image(image["id"])
        assert current["status"] == "DONE"
        assert [variant["type"] for variant in current["variants"]] == ["original", *PRESETS[1:]]
        assert system.http.get(f"{IMAGES}/{image['id']}/variants/small").status_code == 200
        for _ in range(3):
            assert system.http.get(url).status_code == 503
        assert system.message_count("image_queue") <= 1
    wait_until(lambda: system.http.get(url).status_code == 200, 30, "the variant to be restored")
    wait_until(lambda: system.image(image["id"])["missing"] == [], 30, "no missing variants")
    wait_idle(system)
    observed = system.timeline(image["id"])
    kinds = ("image.variants_missing", "tracker.repaired", "image.done")
    assert [observed.count(kind) for kind in kinds] == [1, 1, 2]


def test_a_lost_original_makes_the_image_deleted(system):
    image = system.wait_status(system.post_form(photo())["id"])
    with system.frozen("status-tracker"):
        system.s3.delete_object(Bucket="images-original", Key=image["key"])
        assert problem(system.http.get(f"{IMAGES}/{image['id']}/variants/original"), 410) == "gone"
        assert system.image(image["id"])["status"] == "DONE", "as the tracker has it"
    system.wait_status(image["id"], "DELETED")
    wait_until(lambda: "image.variants_missing" in system.timeline(image["id"]), 30, "the gateway's report")


def test_while_the_store_is_unavailable_nothing_is_reported_as_lost(system):
    image = system.wait_status(system.post_form(photo())["id"])
    with system.stopped("minio"):
        answer = system.http.get(f"{IMAGES}/{image['id']}/variants/thumbnail")
        assert problem(answer, 503) == "storage_unavailable"
    wait_until(lambda: system.http.get(answer.url).status_code == 200, 30, "the store")
    assert "image.variants_missing" not in system.timeline(image["id"])
