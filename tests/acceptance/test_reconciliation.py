"""What was lost comes back without anybody doing anything; and the command that does it now."""

import json

import pytest

from support.messages import purge
from support.pictures import photo, red_quarter
from support.system import ORIGINALS, PROCESSED
from support.waiting import wait_until

HASTY = {"RECONCILE_INTERVAL_SECONDS": "1", "RECONCILE_AFTER_SECONDS": "5"}


@pytest.fixture
def hasty(system):
    """A tracker that reconciles all the time."""
    with system.restarted("status-tracker", **HASTY):
        yield system


def heals(system, image_id):
    return [event["data"]["what"] for event in system.events(image_id) if event["type"] == "tracker.healed"]


def wait_heal(system, image_id, what):
    wait_until(lambda: what in heals(system, image_id), 60, f"{what} to be healed")


def act_unheard(system, act):
    """Do something in the bucket of which all news is lost: INSTANT's copies and LEDGER's."""
    with system.stopped("thumbnailer"), system.stopped("status-tracker"):
        act()
        wait_until(lambda: system.queue_length("status_tracker") >= 2, what="both targets to tell")
        purge(system, "image_queue", "status_tracker")


def test_lost_events_are_made_up_for(system):
    def upload():
        system.put("unheard.jpg", photo(orientation=3))

    act_unheard(system, upload)
    with system.restarted("status-tracker", **HASTY):
        done = system.wait_key("unheard.jpg", timeout=60)
        assert red_quarter(system.thumbnail(done["id"])) == "right lower"
        assert heals(system, done["id"]) == ["missed"]
        healed = system.metric("STATUS_TRACKER_HEALTH_PORT", 'thumbmill_reconciled_total{what="missed"}')
        assert healed == 1

    act_unheard(system, lambda: system.s3.delete_object(Bucket=ORIGINALS, Key="unheard.jpg"))
    with system.restarted("status-tracker", **HASTY):
        system.wait_status(done["id"], "DELETED", timeout=60)
        wait_until(lambda: system.keys(PROCESSED, f"{done['id']}/") == [], what="its variants to be withdrawn")
        assert "vanished" in heals(system, done["id"])


def test_a_row_that_is_lost_is_found_again(hasty):
    image = hasty.post_form(photo())
    hasty.wait_status(image["id"])
    wait_until(lambda: len(hasty.timeline(image["id"])) == 4, what="LEDGER to tell, or its word makes a row")
    hasty.query("DELETE FROM images WHERE id = %s RETURNING 1", image["id"])
    wait_until(lambda: (hasty.image(image["id"]) or {}).get("status") == "DONE", 60, "it to be DONE again")
    assert heals(hasty, image["id"]) == ["missed"]


def test_variants_that_are_gone_are_made_again_and_status_never_leaves_done(hasty):
    image = hasty.post_form(photo(orientation=3))
    hasty.wait_status(image["id"])
    keys = hasty.keys(PROCESSED, f"{image['id']}/")
    seen = set()

    def restored():
        seen.add(hasty.image(image["id"])["status"])
        return hasty.keys(PROCESSED, f"{image['id']}/") == keys

    for key in keys[:2]:
        hasty.s3.delete_object(Bucket=PROCESSED, Key=key)
    wait_until(restored, 60, "the variants to be there again")
    wait_heal(hasty, image["id"], "variants_gone")
    wait_until(lambda: hasty.timeline(image["id"]).count("image.done") == 2, what="the second run to be told")
    assert seen == {"DONE"}
    assert red_quarter(hasty.thumbnail(image["id"])) == "right lower"


def test_variants_that_belong_to_nothing_go(hasty):
    image = hasty.post_form(photo())
    hasty.wait_status(image["id"])
    keys = hasty.keys(PROCESSED, f"{image['id']}/")
    old = f"{image['id']}/{'ab' * 8}-0.0/thumbnail.jpg"
    hasty.s3.put_object(Bucket=PROCESSED, Key=old, Body=b"x")
    wait_until(lambda: hasty.keys(PROCESSED, f"{image['id']}/") == keys, 60, "the old variant to be removed")
    wait_heal(hasty, image["id"], "orphans")
    assert hasty.image(image["id"])["status"] == "DONE"


def test_the_command_says_what_it_would_do_and_does_it(system):
    image = system.post_form(photo())
    system.wait_status(image["id"])
    key = system.keys(PROCESSED, f"{image['id']}/")[0]
    system.s3.delete_object(Bucket=PROCESSED, Key=key)

    code, said = system.run_to_end("status-tracker", "reconcile", "--dry-run")
    assert code == 0, said
    assert "1  images whose variants are gone" in said
    assert "nothing was changed" in said
    assert "would_heal" in said
    assert heals(system, image["id"]) == []

    code, said = system.run_to_end("status-tracker", "reconcile", "--json")
    assert code == 0, said
    report = json.loads(next(line for line in said.splitlines() if line.startswith('{"originals"')))
    assert report["found"]["variants_gone"] == 1
    assert report["changed"] is True
    wait_until(lambda: key in system.keys(PROCESSED, f"{image['id']}/"), what="the variant to be made again")
    assert heals(system, image["id"]) == ["variants_gone"]
