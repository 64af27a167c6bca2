"""``thumbmill drill`` against a running system: without losses, and with losses that it must find."""

import re
import signal

import pytest

from tests.support.images import photo
from tests.support.operator_cli import start, thumbmill
from tests.support.system import ORIGINALS, PROCESSED
from tests.support.waiting import wait_until


def routes(system, *, s3=True):
    s3_options = ("--s3-url", f"http://127.0.0.1:{system.ports['MINIO_PORT']}", "--s3-access-key")
    return (
        *("drill", "--url", f"http://127.0.0.1:{system.ports['GATEWAY_PORT']}", "--seed", "1"),
        *((*s3_options, system.secrets["MINIO_ROOT_USER"]) if s3 else ()),
    )


def counts(report):
    return dict(re.findall(r"^  (\w+) +(\d+|not checked)$", report, re.MULTILINE))


def secret(system):
    return {"THUMBMILL_S3_SECRET_KEY": system.secrets["MINIO_ROOT_PASSWORD"]}


@pytest.mark.timeout(300)
def test_a_drill_finds_nothing_lost_and_deletes_its_uploads(system):
    # The reconciler removes the variants of overwritten images; by default it would take minutes.
    with system.restarted("status-tracker", RECONCILE_INTERVAL_SECONDS="1", RECONCILE_AFTER_SECONDS="5"):
        report = thumbmill(system, *routes(system), "--minutes", "0.05", seconds=240, **secret(system))
    found = counts(report)
    assert int(found["acknowledged"]) > 5
    fatal = ("lost", "wrong", "stuck", "regressed", "unannounced", "orphaned")
    assert {name: found[name] for name in fatal} == dict.fromkeys(fatal, "0")
    assert found["unexpected"] == found["doubled"] == found["exited"] == "not checked"
    assert "passed" in report
    assert system.keys(ORIGINALS, "drill/") == []


def test_without_s3_orphans_are_not_checked(system):
    found = counts(thumbmill(system, *routes(system, s3=False), "--minutes", "0.02"))
    assert found["lost"] == "0"
    assert found["orphaned"] == "not checked"


def test_a_drill_finds_a_lost_and_a_wrong_image(system):
    def uploaded_and_done():
        images = system.http.get("/api/v1/images", params={"status": "DONE"}).json()["items"]
        return [image["id"] for image in images if image["file_name"] == "drill.jpg"]

    def two_new_images():
        new = [image_id for image_id in uploaded_and_done() if image_id not in earlier]
        return new[:2] if len(new) > 1 else None

    earlier = uploaded_and_done()
    with start(system, *routes(system, s3=False), "--minutes", "5", "--settle", "3") as drill:
        try:
            lost, wrong = wait_until(two_new_images)
            system.s3.delete_object(Bucket=ORIGINALS, Key=f"uploads/{lost}/original")
            system.wait_status(lost, "DELETED")
            variant = next(key for key in system.keys(PROCESSED, f"{wrong}/") if "/thumbnail." in key)
            system.s3.put_object(Bucket=PROCESSED, Key=variant, Body=photo(256, 192))
            drill.send_signal(signal.SIGTERM)  # ends the uploads, but not the drill
            report, errors = drill.communicate(timeout=60)
        finally:
            drill.kill()
    found = counts(report)
    assert (drill.returncode, found.get("lost"), found.get("wrong")) == (1, "1", "1"), report + errors
    assert f"lost: {lost}" in report
    assert f"wrong: {wrong}" in report


def test_ctrl_c_ends_the_uploads_and_a_second_one_aborts_the_drill(system):
    def printed(text):
        return text in drill.stderr.readline()

    def has_uploaded():
        images = system.http.get("/api/v1/images", params={"status": "PENDING"}).json()["items"]
        return any(image["file_name"] == "drill.jpg" for image in images)

    with (
        system.frozen("thumbnailer"),  # so that nothing settles
        start(system, *routes(system, s3=False), "--minutes", "5") as drill,
    ):
        try:
            wait_until(has_uploaded, what="a first upload")
            drill.send_signal(signal.SIGINT)
            wait_until(lambda: printed("no more uploads"), what="the end of the uploads")
            drill.send_signal(signal.SIGINT)
            assert drill.wait(200) == 130  # it deletes its uploads one by one
        finally:
            drill.kill()


def test_an_error_before_the_drill_names_the_option(system):
    assert "--url" in thumbmill(system, "drill", "--url", "http://127.0.0.1:1", code=2)
    assert "--s3-url" in thumbmill(system, *routes(system), code=2, THUMBMILL_S3_SECRET_KEY="guessed")
