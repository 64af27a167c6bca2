"""Malformed events in both queues: dead-lettered with a reason, without an effect on valid ones."""

from collections import Counter

import pytest

from tests.support.images import photo
from tests.support.malformed_events import make_foreign_events, make_malformed_events
from tests.support.messages import QueuedMessage, post, settled, wait_idle
from tests.support.waiting import wait_until

QUEUES = ("image_queue", "status_tracker")
CONSUMERS = ("thumbnailer", "status-tracker")
TO_EACH, TO_BOTH = 300, 200  # by the queue's own name, and by the exchange that the bucket's events come through


@pytest.fixture
def no_dead(system):
    """Begin and end without dead letters."""
    yield
    for queue in QUEUES:
        system.drain(f"{queue}.dead")


def test_hundreds_of_malformed_events(system, stack, no_dead):
    for queue in QUEUES:
        assert system.message_count(f"{queue}.dead") == 0
    pids = [stack.pid(name) for name in CONSUMERS]
    both = make_malformed_events(TO_BOTH, "both")
    garbage = {queue: make_malformed_events(TO_EACH, queue) + both for queue in QUEUES}
    messages = [QueuedMessage(body, "storage.events", "immediate", kind) for body, kind in both]
    for queue in QUEUES:
        messages += [QueuedMessage(body, "", queue, kind) for body, kind in garbage[queue][:TO_EACH]]
    half = len(messages) // 2

    post(system, messages[:half])
    amid = system.post_form(photo(seed=1))["id"]
    post(system, messages[half:])
    behind = system.post_form(photo(seed=2))["id"]

    system.wait_status(amid, timeout=60)
    system.wait_status(behind, timeout=60)
    wait_until(
        lambda: all(system.message_count(f"{q}.dead") >= TO_EACH + TO_BOTH for q in QUEUES), 60, "dead letters"
    )
    wait_idle(system)
    for queue in QUEUES:
        dead = system.drain(f"{queue}.dead")
        assert Counter(body for body, _ in dead) == Counter(body for body, _ in garbage[queue])
        assert all(headers["x-reason"].startswith("malformed event: ") for _, headers in dead)
        for waiting in (queue, *(f"{queue}.delay.{delay}" for delay in ("5s", "30s", "5m"))):
            assert system.message_count(waiting) == 0, waiting
    assert [stack.pid(name) for name in CONSUMERS] == pids
    assert all(stack.is_running(name) for name in CONSUMERS)


def test_events_of_other_buckets_are_ignored(system, stack):
    bodies = make_foreign_events()
    before = settled(system, "THUMBNAILER_HEALTH_PORT")["ack"]
    # Not rows: DURABLE's event of an earlier test's photo may still come.
    images = system.query("SELECT count(DISTINCT image_id) FROM image_timeline")
    for exchange, key in (("storage.events", "immediate"), ("storage.events", "durable"), ("", "status_tracker")):
        post(system, [QueuedMessage(body, exchange, key, "application/json") for body in bodies])
    handled = len(bodies)
    wait_until(lambda: settled(system, "THUMBNAILER_HEALTH_PORT")["ack"] == before + handled, 20, "the thumbnailer")
    wait_idle(system)
    assert system.query("SELECT count(DISTINCT image_id) FROM image_timeline") == images
    for queue in QUEUES:
        assert system.message_count(f"{queue}.dead") == 0
