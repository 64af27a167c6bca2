"""Over an operator's limits the API rejects uploads; objects that arrive otherwise are processed."""

from tests.support.images import photo
from tests.support.system import problem
from tests.support.waiting import wait_until

ROUTES = (
    ("/api/v1/images", {"files": {"file": ("photo.jpg", photo())}}),
    ("/upload-image/", {"files": {"file": ("photo.jpg", photo())}}),
    ("/api/v1/uploads", {"json": {"content_type": "image/jpeg"}}),
)


ENDPOINTS = ("images", "upload-image", "uploads")  # the metric's names of these routes


def wait_nothing_pending(system):
    """Wait until no image of an earlier test is pending; the sweep may be needed for that."""
    pending = "SELECT id FROM images WHERE status = 'PENDING'"
    wait_until(lambda: not system.query(pending), 90, "the images of earlier tests")


def post(system):
    path, upload = ROUTES[0]
    return system.http.post(path, **upload)


def wait_refused(system):
    """Upload until it is rejected; return the response."""
    return wait_until(lambda: [a for a in [post(system)] if a.status_code != 202], 30, "a rejection")[0]


def wait_accepted(system):
    wait_until(lambda: post(system).status_code == 202, 30, "uploads to be accepted again")


def test_over_a_limit_uploads_are_rejected_until_the_queue_is_shorter(system):
    wait_nothing_pending(system)
    with system.stopped("thumbnailer"):
        with system.restarted("gateway", MAX_QUEUED_IMAGES="3"):
            first = system.post_form(photo())["id"]
            refused = wait_refused(system)
            assert problem(refused, 503) == "too_many_waiting"
            assert refused.headers["retry-after"] == "10"
            assert refused.json()["detail"] == "more than 3 images wait to be processed: try again in 10 s"
            for path, upload in ROUTES:
                assert problem(system.http.post(path, **upload), 503) == "too_many_waiting"
            by = 'thumbmill_uploads_rejected_total{endpoint="%s",limit="images"}'
            assert [system.metric("GATEWAY_PORT", by % route) for route in ENDPOINTS] == [2, 1, 1]
            assert system.image(first)["status"] == "PENDING"
            system.put("backpressure/another-route.jpg", photo())
            with system.stopped("postgres"):
                wait_accepted(system)  # what waits is not known
        with system.restarted("gateway", MAX_QUEUE_AGE_SECONDS="1"):
            refused = wait_refused(system)
            assert problem(refused, 503) == "too_many_waiting"
            assert refused.json()["detail"].startswith("an image has waited for ")
            system.stack.start("thumbnailer")
            wait_accepted(system)
            system.stack.stop("thumbnailer")  # since the outer block starts it
    system.wait_status(first)
    system.wait_key("backpressure/another-route.jpg")
