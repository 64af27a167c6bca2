"""kill -9 between any two steps: the image is DONE after a restart, without a trace of the crash."""

import signal
import uuid
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.fault_injection.launch import crashing
from tests.support.images import opened, photo
from tests.support.messages import listening, post, purge, wait_tracker
from tests.support.system import ORIGINALS, PRESETS, PROCESSED
from tests.support.waiting import wait_until

# The thumbnailer's crash points, and the state by then: variants stored, image.done published.
THUMBNAILER = {
    "after_receive": ({0}, False),
    "after_fetch": ({0}, False),
    "after_decode": ({0}, False),
    "after_first_put": (set(range(1, len(PRESETS) + 1)), False),  # the variants are stored at the same time
    "after_put": ({len(PRESETS)}, False),
    "before_publish": ({len(PRESETS)}, False),
    "after_publish": ({len(PRESETS)}, True),
}
DEATHS = 5  # after so many deliveries the consumer handles the message alone


def test_the_gateway_is_killed_in_the_middle_of_an_upload(system, stack):
    before, headers = system.keys(ORIGINALS), {"Idempotency-Key": str(uuid.uuid4())}
    data = photo().ljust(6 * 1024 * 1024, b"\0")
    with gateway_dies(stack, "after_part"):
        system.post_form(data, headers=headers)
    assert system.keys(ORIGINALS) == before
    retried = system.post_form(data, headers=headers)
    check_done(system, retried["id"], "storage.ObjectCreated:CompleteMultipartUpload")
    assert len(system.keys(ORIGINALS)) == len(before) + 1


def test_the_gateway_is_killed_before_it_responds_to_an_upload(system, stack):
    before, headers = set(system.keys(ORIGINALS)), {"Idempotency-Key": str(uuid.uuid4())}
    with gateway_dies(stack, "after_store"):
        system.post_form(photo(), headers=headers)
    [key] = set(system.keys(ORIGINALS)) - before
    check_done(system, system.wait_key(key)["id"])
    retried = system.post_form(photo(), headers=headers)
    assert (retried["key"], retried["status"]) == (key, "DONE")
    assert set(system.keys(ORIGINALS)) - before == {key}
    check_done(system, retried["id"])


def test_the_gateway_is_killed_before_it_returns_a_ticket(system, stack):
    """No client has its form, so its image expires."""
    with gateway_dies(stack, "after_request"):
        system.ticket(file_name="expires.jpg")
    moved = wait_until(lambda: system.query(LAPSE), what="the ticket's row")
    system.wait_status(moved[0][0], "EXPIRED")


@pytest.mark.parametrize("point", THUMBNAILER)
def test_the_thumbnailer_is_killed(system, stack, point):
    stored, observed = THUMBNAILER[point]
    with armed(stack, "thumbnailer", point):
        image_id = system.post_form(photo())["id"]
        wait_killed(stack, "thumbnailer")
        wait_tracker(system)
        assert len(system.keys(PROCESSED, f"{image_id}/")) in stored
        assert ("image.done" in system.timeline(image_id)) == observed
        assert (system.image(image_id)["status"] == "DONE") == observed
    check_done(system, image_id)


def test_the_thumbnailer_is_killed_repeatedly(system, stack):
    with armed(stack, "thumbnailer", "after_decode"):
        image_id = system.post_form(photo())["id"]
        for _ in range(DEATHS):
            wait_killed(stack, "thumbnailer")
            stack.start("thumbnailer", wait=False, command=crashing(stack, "thumbnailer", "after_decode"))
    check_done(system, image_id)


@pytest.mark.parametrize(
    ("key", "first"), [("image.done", "image.done"), ("immediate", "storage.ObjectCreated:Put")]
)
@pytest.mark.parametrize(("point", "is_in"), [("in_transaction", False), ("after_commit", True)])
def test_the_tracker_is_killed(system, stack, point, is_in, key, first):
    stack.stop("status-tracker")
    image_id, observed = make_untracked(system)
    post(system, sorted(observed, key=lambda message: message.key != key))
    with armed(stack, "status-tracker", point, TRACKER_BATCH_SIZE="1"):
        wait_killed(stack, "status-tracker")
        before = row(system, image_id)
        assert bool(before) == is_in
        assert [type_ for (type_,) in system.query(TYPES, image_id)] == ([first] if is_in else [])
    check_done(system, image_id)
    if is_in and first == "image.done":
        assert row(system, image_id) == before, "a known event changed the row"


LAPSE = "UPDATE images SET expires_at = now() - interval '2 minutes' WHERE file_name = 'expires.jpg' RETURNING id"
ROW = "SELECT status, version, updated_at FROM image_status WHERE id = %s"
TYPES = "SELECT type FROM image_timeline WHERE image_id = %s"


def row(system, image_id):
    return system.query(ROW, image_id)


def make_untracked(system):
    """Process an image while no tracker runs; return its id and the events, which are in no queue any more."""
    with (
        listening(system, "storage.events", "immediate", "durable") as bucket,
        listening(system, "image.lifecycle", "#") as lifecycle,
    ):
        image_id = system.post_form(photo())["id"]
        observed = lifecycle.take(2) + bucket.take(2)
    purge(system, "status_tracker")
    return image_id, observed


@contextmanager
def armed(stack, name, point, **environment):
    """Run a service that dies at a crash point; afterwards restart it normally."""
    stack.restart(name, wait=False, command=crashing(stack, name, point), **environment)
    try:
        yield
    finally:
        stack.restart(name)


@contextmanager
def gateway_dies(stack, point):
    """Have the request in this block kill the gateway, so that it gets no response."""
    with armed(stack, "gateway", point):
        stack.wait_ready("gateway")
        with pytest.raises(httpx.TransportError):
            yield
        wait_killed(stack, "gateway")


def wait_killed(stack, name):
    """Wait until a service and its children have ended."""
    session = stack.pid(name)
    assert stack.wait_exit(name, 30) == -signal.SIGKILL, stack.log_tail(name)
    wait_until(lambda: not running_in(session), 10, f"the children of a killed {name} to end")


def running_in(session):
    """Return the processes of a session; the launcher starts each service in its own."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()  # proc_pid_stat(5), from the third on
        except OSError:
            continue  # ended meanwhile
        if fields[0] != "Z" and fields[3] == str(session):
            found.append(entry.name)
    return found


def check_done(system, image_id, stored="storage.ObjectCreated:Put"):
    """Check the final state, which no crash may affect."""
    image = system.wait_status(image_id)
    wait_tracker(system)
    observed = Counter((event["type"], event["recorded_by"]) for event in system.events(image_id))
    assert {type_ for type_, _ in observed} == {stored, "image.processing", "image.done"}
    assert set(observed.values()) == {1}, observed
    assert image["attempts"] == 1
    assert len(system.keys(PROCESSED, f"{image_id}/")) == len(PRESETS)
    assert opened(system.thumbnail(image_id)).size == (256, 192)
    for queue in ("image_queue", "image_queue.dead", "status_tracker.dead"):
        assert system.message_count(queue) == 0, queue
