"""Reconciliation repairs what was lost, in its loop and on demand."""

import json
import re
import signal
from collections import Counter
from contextlib import contextmanager

import psycopg
import pytest

from devstack.postgres import OWNER, database_url
from tests.support.fault_injection.launch import crashing
from tests.support.images import photo, red_quarter
from tests.support.messages import listening, purge, wait_idle
from tests.support.operator_cli import running, thumbmill
from tests.support.processes import another
from tests.support.system import ORIGINALS, PROCESSED
from tests.support.waiting import wait_until

LOCK = 0x7468756D63  # the advisory lock of the tracker that reconciles
FREQUENT = {"RECONCILE_INTERVAL_SECONDS": "1", "RECONCILE_AFTER_SECONDS": "5"}


@pytest.fixture
def repairing(system):
    """Yield a tracker that reconciles all the time."""
    with system.restarted("status-tracker", **FREQUENT):
        yield system


def repairs(system, image_id):
    return [event["data"]["drift"] for event in system.events(image_id) if event["type"] == "tracker.repaired"]


def wait_repair(system, image_id, drift):
    wait_until(lambda: drift in repairs(system, image_id), 60, f"{drift} to be repaired")


def lose_events_of(system, act, *keys):
    """Change each of these keys in the bucket once, and lose all events of it: IMMEDIATE's and DURABLE's.

    Late events of other keys may arrive meanwhile, so this waits for the events of these keys.
    """
    awaited = Counter(dict.fromkeys(keys, 2))
    with (
        system.stopped("thumbnailer"),
        system.stopped("status-tracker"),
        listening(system, "storage.events", "immediate", "durable") as bucket,
    ):
        act()
        while +awaited:
            [message] = bucket.take(1)
            awaited[json.loads(message.body)["Key"].removeprefix(f"{ORIGINALS}/")] -= 1
        wait_until(lambda: system.message_count("status_tracker") >= 2 * len(keys), what="both targets' events")
        purge(system, "image_queue", "status_tracker")


def test_lost_events_are_repaired(system):
    def upload():
        system.put("no-events.jpg", photo(orientation=3))

    lose_events_of(system, upload, "no-events.jpg")
    with system.restarted("status-tracker", **FREQUENT):
        done = system.wait_key("no-events.jpg", timeout=60)
        assert red_quarter(system.thumbnail(done["id"])) == "right lower"
        assert repairs(system, done["id"]) == ["missed"]
        metric = 'thumbmill_reconcile_repaired_total{drift="missed"}'
        assert system.metric("STATUS_TRACKER_HEALTH_PORT", metric) == 1

    lose_events_of(system, lambda: system.s3.delete_object(Bucket=ORIGINALS, Key="no-events.jpg"), "no-events.jpg")
    with system.restarted("status-tracker", **FREQUENT):
        system.wait_status(done["id"], "DELETED", timeout=60)
        wait_until(lambda: system.keys(PROCESSED, f"{done['id']}/") == [], what="its variants to be deleted")
        assert "vanished" in repairs(system, done["id"])


def test_a_killed_reconciler_and_two_concurrent_ones_repair_everything_once(system, stack):
    keys = [f"halfway/{n}.jpg" for n in range(10)]

    def upload():
        for number, key in enumerate(keys):
            system.put(key, photo(seed=number + 1))

    lose_events_of(system, upload, *keys)
    stack.restart(
        "status-tracker", wait=False, command=crashing(stack, "status-tracker", "after_announce"), **FREQUENT
    )
    assert stack.wait_exit("status-tracker", 60) == -signal.SIGKILL
    stack.start("status-tracker", wait=False, **FREQUENT)
    with another(system, "status-tracker", **FREQUENT):
        ids = [system.wait_key(key, timeout=60)["id"] for key in keys]
        wait_idle(system)
        for image_id in ids:
            assert system.timeline(image_id).count("image.done") == 1
            assert len(repairs(system, image_id)) <= 1, "a repair whose event is not recorded does not count"
        assert sum(len(repairs(system, image_id)) for image_id in ids) >= len(keys) - 1
    announced = stack.log_path("status-tracker").read_text() + stack.log_path("another-status-tracker").read_text()
    for image_id in ids:
        assert len(re.findall(rf"event_republished.*image_id={image_id}", announced)) <= 2, "republished too often"


def test_a_lost_row_is_restored(repairing):
    image = repairing.post_form(photo())
    repairing.wait_status(image["id"])
    wait_until(lambda: len(repairing.timeline(image["id"])) == 4, what="DURABLE's event, which would create a row")
    repairing.query("DELETE FROM images WHERE id = %s RETURNING 1", image["id"])
    wait_until(lambda: (repairing.image(image["id"]) or {}).get("status") == "DONE", 60, "DONE again")
    assert repairs(repairing, image["id"]) == ["missed"]


def test_missing_variants_are_restored_while_the_status_stays_done(repairing):
    image = repairing.post_form(photo(orientation=3))
    repairing.wait_status(image["id"])
    keys = repairing.keys(PROCESSED, f"{image['id']}/")
    seen = set()

    def restored():
        seen.add(repairing.image(image["id"])["status"])
        return repairing.keys(PROCESSED, f"{image['id']}/") == keys

    for key in keys[:2]:
        repairing.s3.delete_object(Bucket=PROCESSED, Key=key)
    wait_until(restored, 60, "the variants to be restored")
    wait_repair(repairing, image["id"], "missing_variants")
    wait_until(lambda: repairing.timeline(image["id"]).count("image.done") == 2, what="the second run's image.done")
    assert seen == {"DONE"}
    assert red_quarter(repairing.thumbnail(image["id"])) == "right lower"


def test_orphaned_variants_are_deleted(repairing):
    image = repairing.post_form(photo())
    repairing.wait_status(image["id"])
    keys = repairing.keys(PROCESSED, f"{image['id']}/")
    old = f"{image['id']}/{'ab' * 8}-0.0/thumbnail.jpg"
    repairing.s3.put_object(Bucket=PROCESSED, Key=old, Body=b"x")
    wait_until(lambda: repairing.keys(PROCESSED, f"{image['id']}/") == keys, 60, "the old variant to be removed")
    wait_repair(repairing, image["id"], "orphans")
    assert repairing.image(image["id"])["status"] == "DONE"


def test_the_command_has_a_dry_run_and_then_repairs(system):
    thumbmill(system, "reconcile")  # remains of earlier tests
    image = system.post_form(photo(orientation=3))
    system.wait_status(image["id"])
    wait_until(lambda: len(system.timeline(image["id"])) == 4, what="DURABLE's event, which would create a row")
    system.query("DELETE FROM images WHERE id = %s RETURNING 1", image["id"])

    output = thumbmill(system, "reconcile", "--dry-run")
    assert re.search(r"\b1 +objects without a row", output), output
    assert "nothing was changed" in output
    assert system.query("SELECT 1 FROM images WHERE id = %s", image["id"]) == []
    assert image["id"] in system.stack.log_tail("status-tracker"), "its log names what would be repaired"

    report = json.loads(thumbmill(system, "reconcile", "--json"))
    assert report["found"] == dict.fromkeys(report["found"], 0) | {"missed": 1}
    assert report["changed"] is True
    system.wait_status(image["id"])
    assert red_quarter(system.thumbnail(image["id"])) == "right lower"
    assert repairs(system, image["id"]) == ["missed"]
    assert "nothing differs" in thumbmill(system, "reconcile")


def open_requests(system):
    return system.query("SELECT 1 FROM operator_requests WHERE state IN ('waiting', 'running')")


@contextmanager
def waiting_request(system):
    """Request a reconciliation while another connection holds the lock; yield the program and that connection."""
    url = database_url(system.stack.installation, OWNER, system.secrets["POSTGRES_PASSWORD"])
    with psycopg.connect(url) as lock_holder:
        lock_holder.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        with running(system, "reconcile") as program:
            wait_until(lambda: open_requests(system), what="the request to be stored")
            yield program, lock_holder


def test_the_command_waits_for_a_running_pass_and_can_be_interrupted(system):
    with waiting_request(system) as (program, _):
        program.send_signal(signal.SIGINT)
        out, err = program.communicate(timeout=30)
    assert program.returncode == 130, out + err
    assert not open_requests(system), "it is cancelled"
    assert "compared" in thumbmill(system, "reconcile")


def test_a_request_survives_its_tracker(system):
    with waiting_request(system) as (program, lock_holder):
        system.stack.kill("status-tracker")
        lock_holder.close()
        system.stack.restart("status-tracker")
        out, err = program.communicate(timeout=60)
    assert program.returncode == 0, out + err
    assert "compared" in out


def test_without_a_tracker_the_command_says_where_it_looked(system):
    with system.stopped("status-tracker"):
        output = thumbmill(system, "reconcile", code=1)
    assert f"STATUS_TRACKER_URL=http://127.0.0.1:{system.ports['STATUS_TRACKER_HEALTH_PORT']}" in output
