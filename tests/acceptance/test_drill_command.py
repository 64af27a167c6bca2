"""``thumbmill drill`` beside a running system: what it finds when all is well, and when something was lost."""

import re
import signal

import pytest

from tests.support.operators import start, thumbmill
from tests.support.pictures import photo
from tests.support.system import ORIGINALS, PROCESSED
from tests.support.waiting import wait_until


def doors(system, *, s3=True):
    by_s3 = ("--s3-url", f"http://127.0.0.1:{system.ports['MINIO_PORT']}", "--s3-access-key")
    return (
        *("drill", "--url", f"http://127.0.0.1:{system.ports['GATEWAY_PORT']}", "--seed", "1"),
        *((*by_s3, system.secrets["MINIO_ROOT_USER"]) if s3 else ()),
    )


def counts(report):
    return dict(re.findall(r"^  (\w+) +(\d+|not checked)$", report, re.MULTILINE))


def secret(system):
    return {"THUMBMILL_S3_SECRET_KEY": system.secrets["MINIO_ROOT_PASSWORD"]}


@pytest.mark.timeout(300)
def test_it_finds_nothing_lost_and_leaves_nothing(system):
    # What was made of overwritten photos is removed by the reconciler, which takes its time in production.
    with system.restarted("status-tracker", RECONCILE_INTERVAL_SECONDS="1", RECONCILE_AFTER_SECONDS="5"):
        report = thumbmill(system, *doors(system), "--minutes", "0.05", seconds=240, **secret(system))
    found = counts(report)
    assert int(found["acknowledged"]) > 5
    assert {name: found[name] for name in ("lost", "wrong", "stuck", "regressed", "orphaned")} == dict.fromkeys(
        ("lost", "wrong", "stuck", "regressed", "orphaned"), "0"
    )
    assert found["unexpected"] == found["exited"] == "not checked"
    assert "passed" in report
    assert system.keys(ORIGINALS, "drill/") == []


def test_without_s3_it_does_not_pretend_to_have_looked_for_orphans(system):
    found = counts(thumbmill(system, *doors(system, s3=False), "--minutes", "0.02"))
    assert found["lost"] == "0"
    assert found["orphaned"] == "not checked"


def test_it_finds_what_was_lost_and_what_is_wrong(system):
    def sent_and_done():
        images = system.http.get("/api/v1/images", params={"status": "DONE"}).json()["items"]
        return [image["id"] for image in images if image["file_name"] == "drill.jpg"]

    def two_new_ones():
        new = [image_id for image_id in sent_and_done() if image_id not in earlier]
        return new[:2] if len(new) > 1 else None

    earlier = sent_and_done()
    with start(system, *doors(system, s3=False), "--minutes", "5", "--settle", "3") as drill:
        try:
            lost, wrong = wait_until(two_new_ones)
            system.s3.delete_object(Bucket=ORIGINALS, Key=f"uploads/{lost}/original")
            system.wait_status(lost, "DELETED")
            variant = next(key for key in system.keys(PROCESSED, f"{wrong}/") if "/thumbnail." in key)
            system.s3.put_object(Bucket=PROCESSED, Key=variant, Body=photo(256, 192))
            drill.send_signal(signal.SIGTERM)  # ends the uploads, not the drill
            report, errors = drill.communicate(timeout=60)
        finally:
            drill.kill()
    found = counts(report)
    assert (drill.returncode, found.get("lost"), found.get("wrong")) == (1, "1", "1"), report + errors
    assert f"lost: {lost}" in report
    assert f"wrong: {wrong}" in report


def test_ctrl_c_ends_the_uploads_and_another_one_the_drill(system):
    def heard(words):
        return words in drill.stderr.readline()

    def sent():
        images = system.http.get("/api/v1/images", params={"status": "PENDING"}).json()["items"]
        return any(image["file_name"] == "drill.jpg" for image in images)

    with (
        system.held("thumbnailer"),  # so that nothing settles
        start(system, *doors(system, s3=False), "--minutes", "5") as drill,
    ):
        try:
            wait_until(sent, what="a first upload")
            drill.send_signal(signal.SIGINT)
            wait_until(lambda: heard("no more uploads"), what="the end of the uploads")
            drill.send_signal(signal.SIGINT)
            assert drill.wait(200) == 130  # it deletes what it uploaded, one by one
        finally:
            drill.kill()


def test_it_says_what_keeps_it_from_beginning(system):
    assert "--url" in thumbmill(system, "drill", "--url", "http://127.0.0.1:1", code=2)
    assert "--s3-url" in thumbmill(system, *doors(system), code=2, THUMBMILL_S3_SECRET_KEY="guessed")
