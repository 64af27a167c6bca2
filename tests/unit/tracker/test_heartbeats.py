from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from tests.unit.tracker.test_timeline import STORAGE_EVENTS, V1, Message
from thumbmill.core.contracts.identity import HEARTBEAT_KEY, ORIGINALS_BUCKET
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.object_store.store import ObjectMetadata
from thumbmill.tracker.heartbeats import CATCH_UP, CATCH_UP_INTERVAL_SECONDS, Heartbeats, find_silent_targets
from thumbmill.tracker.republish import make_upload_body
from thumbmill.tracker.timeline import ReceivedHeartbeat, read_message

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


SENT = [at(0), at(15), at(30)]
LATER = at(300)


@pytest.mark.parametrize(
    ("received", "caught_up", "silent"),
    [
        ({}, 300, ["immediate", "durable"]),
        ({"immediate": 30, "durable": 33}, 300, []),
        ({"immediate": 15, "durable": 33}, 300, []),  # the last one may be lost
        ({"immediate": 0, "durable": 33}, 300, ["immediate"]),
        ({"immediate": 31, "durable": 3}, 300, ["durable"]),
        ({}, 4, []),  # the first heartbeat may still arrive
        ({}, 20, []),  # one heartbeat is too few
        ({}, 21, ["immediate"]),  # two of IMMEDIATE are due; DURABLE has more time
        ({}, 46, ["immediate", "durable"]),
    ],
)
def test_a_target_is_silent_after_two_heartbeats_that_must_have_been_seen(received, caught_up, silent):
    times = {target: at(seconds) for target, seconds in received.items()}
    assert find_silent_targets(SENT, times, at(caught_up)) == silent


class World:
    """A bucket, a watermark and a clock."""

    def __init__(self):
        self.now, self.returned, self.put_keys, self.unavailable = NOON, NOON, [], False
        storage = SimpleNamespace(put=self.put)
        self.heartbeats = Heartbeats(storage, self, clock=lambda: self.now)

    def put(self, bucket, key, data, _content_type):
        if self.unavailable:
            raise DependencyUnavailable("minio")
        assert (bucket, data) == (ORIGINALS_BUCKET, b"")
        self.put_keys.append(key)

    def turn(self, *targets, seconds=15):
        self.heartbeats.run_once()
        for target in targets:
            self.heartbeats.receive(ReceivedHeartbeat(target))
        self.now += timedelta(seconds=seconds)
        self.returned = self.now


def test_silence_is_reported_and_shortens_the_interval_until_it_has_ended():
    world = World()
    for _ in range(3):
        world.turn("immediate", "durable")
    assert world.heartbeats.health() == ""
    assert world.heartbeats.interval_seconds(300) == 300
    for _ in range(5):
        world.turn()
    assert "immediate and durable announced none" in world.heartbeats.health()
    assert world.heartbeats.interval_seconds(300) == CATCH_UP_INTERVAL_SECONDS
    for _ in range(4):
        world.turn("immediate", "durable")
    assert world.heartbeats.health() == ""
    assert world.heartbeats.interval_seconds(300) == CATCH_UP_INTERVAL_SECONDS, (
        "what came last in the silence is to be found"
    )
    world.now += CATCH_UP
    assert world.heartbeats.interval_seconds(300) == 300


def test_a_standby_tracker_sends_and_reports_nothing():
    world = World()
    world.returned = NOON - timedelta(days=1)
    world.heartbeats.run_once()
    assert world.put_keys == []
    assert world.heartbeats.health() == ""


def test_a_heartbeat_that_was_not_stored_is_not_expected():
    world = World()
    world.unavailable = True
    for _ in range(4):
        with pytest.raises(DependencyUnavailable):
            world.heartbeats.run_once()
    world.now = world.returned = LATER
    world.unavailable = False
    world.turn()
    assert world.heartbeats.health() == ""


def test_a_heartbeat_is_received_and_is_no_image():
    body = make_upload_body(HEARTBEAT_KEY, ObjectMetadata(V1, V1.etag, None, {})).replace(
        b'"size": 1000', b'"size": 0'
    )
    for target in ("immediate", "durable"):
        assert read_message(Message(body, target, "application/json", exchange=STORAGE_EVENTS)) == [
            ReceivedHeartbeat(target)
        ]
