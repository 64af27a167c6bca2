"""Metrics that an operator monitors."""

import re

import httpx

from tests.support.waiting import wait_until


def tracker_metric(system, name):
    page = httpx.get(f"http://127.0.0.1:{system.ports['STATUS_TRACKER_HEALTH_PORT']}/metrics", timeout=10).text
    found = re.search(rf"^{re.escape(name)} (\S+)$", page, re.MULTILINE)
    return float(found[1]) if found else None


def test_unroutable_messages_are_kept_and_counted(system):
    unrouted = 'thumbmill_queue_length{queue="unrouted"}'
    system.drain("unrouted")
    wait_until(lambda: tracker_metric(system, unrouted) == 0, 30, "no unrouted messages")
    system.publish_storage_event(b"{}", key="unbound")
    wait_until(lambda: tracker_metric(system, unrouted) == 1, 30, "the unrouted message")
    assert [body for body, _ in system.drain("unrouted")] == [b"{}"]


def test_dead_letters_are_counted(system):
    dead = 'thumbmill_queue_length{queue="image_queue.dead"}'
    before = system.message_count("image_queue.dead")
    system.publish_storage_event(b"no event")
    wait_until(lambda: tracker_metric(system, dead) == before + 1, 40, "the dead letter")
    system.drain("image_queue.dead")
    system.drain("status_tracker.dead")
