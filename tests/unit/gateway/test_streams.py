import asyncio
import uuid
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.gateway.live_fakes import UNAVAILABLE, FakeFeed, Gateway, StreamClient, run
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.gateway.live import hub as hub_module
from thumbmill.gateway.live.selection import Selection
from thumbmill.gateway.live.streams import HEARTBEAT_SECONDS, MAX_REPLAYS
from thumbmill.gateway.live.subscriptions import MAX_CHANGES, Group, Subscription
from thumbmill.gateway.problems import Code, Problem

SOON = 0.2  # seconds of the virtual clock


@asynccontextmanager
async def running(*, gateways=1, **options):
    feed = FakeFeed()
    started = [Gateway(feed, **options) for _ in range(gateways)]
    try:
        yield feed, *started
    finally:
        for gateway in started:
            await gateway.stop()


def changes_of(client):
    return [event for event in client.events if event.type.startswith("image.")]


def test_a_stream_begins_with_hello_and_has_exact_headers():
    async def scenario():
        async with running() as (feed, gateway):
            feed.publish()
            client = StreamClient(gateway)
            await asyncio.sleep(SOON)
            return client

    client = run(scenario())
    assert client.status == 200
    assert client.headers == {
        "content-type": "text/event-stream",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
        "vary": "Accept, Cookie",
    }
    hello = client.events[0]
    assert (hello.type, hello.last_id, hello.data) == ("hello", "e1-1", {"head": "e1-1", "lag_s": 0.5})
    assert 2000 <= hello.retry <= 5000
    assert client.events == [hello]


def test_a_change_right_after_hello_arrives():
    async def scenario():
        async with running() as (feed, gateway):
            client = StreamClient(gateway)
            await client.opened()
            change = feed.publish("DONE")
            await asyncio.sleep(SOON)
            return change, client.events[1]

    change, event = run(scenario())
    assert (event.type, event.last_id) == ("image.done", "e1-1")
    assert event.data["type"] == "image.done"
    assert event.data["id"] == event.data["data"]["event_id"] == "e1-1"
    assert event.data["data"] | {"id": str(change.image_id), "status": "DONE", "version": 1} == event.data["data"]


def test_without_notifications_a_change_arrives_within_a_second():
    async def scenario():
        async with running() as (feed, gateway):
            client = StreamClient(gateway)
            await asyncio.sleep(SOON)
            feed.publish(notified=False)
            await asyncio.sleep(hub_module.POLL_SECONDS + 0.01)
            return changes_of(client)

    assert len(run(scenario())) == 1


def test_the_feed_is_read_at_most_every_50_ms_and_not_at_all_without_clients():
    async def scenario():
        async with running() as (feed, gateway):
            await asyncio.sleep(10)
            assert feed.reads == []
            feed.limit = 100
            client = StreamClient(gateway)
            await client.opened()
            for _ in range(100):
                feed.publish()
                await asyncio.sleep(0.01)
            await asyncio.sleep(SOON)
            assert len(changes_of(client)) == 100
            await client.cut()
            number = len(feed.reads)
            await asyncio.sleep(10)
            assert len(feed.reads) <= number + 1
            return feed.reads

    reads = run(scenario())
    pauses = [after - before for before, after in pairwise(reads)]
    assert min(pauses) > hub_module.MIN_INTERVAL_SECONDS * 0.99


def test_a_filtered_stream_has_only_what_it_selects():
    async def scenario():
        async with running() as (feed, gateway):
            image = uuid.uuid4()
            selections = [
                Selection("", frozenset({image})),
                Selection("", batch="a"),
                Selection("", types=frozenset({"image.done"})),
                Selection("", frozenset({image}), "a", frozenset({"image.done"})),
                Selection("acme"),
                Selection("acme", batch="a"),
                Selection("acme", frozenset({image})),
            ]
            clients = [StreamClient(gateway, selection) for selection in selections]
            late = [StreamClient(gateway, selection, "earliest") for selection in selections]
            await asyncio.sleep(SOON)
            feed.publish("PENDING", image_id=image)
            feed.publish("DONE", batch="a")
            feed.publish("PENDING", batch="a", image_id=image)
            feed.publish("DONE", batch="b")
            feed.publish("DONE", batch="a", image_id=image)
            feed.publish("DONE", batch="a", tenant="acme")
            feed.publish("DONE", tenant="acme")
            await asyncio.sleep(SOON)
            late += [StreamClient(gateway, selection, "earliest") for selection in selections]
            await asyncio.sleep(SOON)
            return [[event.seq for event in changes_of(client)] for client in clients + late]

    assert run(scenario()) == [[1, 3, 5], [2, 3, 5], [2, 4, 5], [5], [6, 7], [6], []] * 3


@pytest.mark.parametrize(
    ("resume", "reason"),
    [
        ("nonsense", "invalid_id"),
        ("e0-2", "epoch_changed"),
        ("e1-99", "ahead"),
        ("e1-1", "expired"),
        ("e1-2", None),
        ("earliest", None),
    ],
)
def test_a_position_that_is_not_known_is_reset(resume, reason):
    async def scenario():
        async with running() as (feed, gateway):
            for _ in range(5):
                feed.publish()
            feed.oldest = 3
            client = StreamClient(gateway, resume=resume)
            await asyncio.sleep(SOON)
            feed.publish()
            await asyncio.sleep(SOON)
            return client.events

    events = run(scenario())
    if reason:
        assert [event.type for event in events] == ["hello", "reset", "image.pending"]
        assert (events[1].data, events[1].last_id) == ({"reason": reason, "head": "e1-5"}, "e1-5")
    else:
        assert [event.last_id for event in events] == ["e1-2", "e1-3", "e1-4", "e1-5", "e1-6"]


def test_a_change_while_the_missed_ones_are_read_arrives():
    async def scenario():
        async with running() as (feed, gateway):
            await StreamClient(gateway).opened()
            feed.publish(batch="a")
            feed.replay_seconds = 2 * SOON
            client = StreamClient(gateway, Selection("", batch="a"), "earliest")
            await asyncio.sleep(SOON)
            feed.publish(batch="a")
            await asyncio.sleep(10 * SOON)
            return [event.seq for event in changes_of(client)]

    assert run(scenario()) == [1, 2]


def test_only_a_few_streams_read_what_they_have_missed_at_the_same_time():
    async def scenario():
        async with running() as (feed, gateway):
            for _ in range(5):
                feed.publish(batch="a")
            feed.replay_seconds = SOON
            positions = [f"e1-{number % 4}" for number in range(12)]
            clients = [StreamClient(gateway, Selection("", batch="a"), position) for position in positions]
            other = StreamClient(gateway)
            await asyncio.sleep(SOON)
            assert feed.most_at_once == MAX_REPLAYS
            assert [event.type for event in other.events] == ["hello"]
            await asyncio.sleep(20 * SOON)
            return [[event.seq for event in changes_of(client)] for client in clients]

    assert run(scenario()) == [[1, 2, 3, 4, 5], [2, 3, 4, 5], [3, 4, 5], [4, 5]] * 3


def test_a_stop_ends_the_streams_that_still_read_what_they_have_missed():
    async def scenario():
        async with running() as (feed, gateway):
            for _ in range(100):
                feed.publish(batch="a")
            feed.replay_seconds = SOON
            clients = [StreamClient(gateway, Selection("", batch="a"), "earliest") for _ in range(12)]
            await asyncio.sleep(1.5 * SOON)
            gateway.hub.close()
            await asyncio.sleep(1.5 * SOON)
            return [client.task.done() for client in clients]

    assert run(scenario()) == [True] * 12


def test_the_stream_of_a_client_ends_with_its_access_and_no_other():
    async def scenario():
        async with running() as (feed, gateway):
            ended, other = StreamClient(gateway), StreamClient(gateway)
            await asyncio.sleep(SOON)
            ended.has_access = False
            await asyncio.sleep(hub_module.ACCESS_SECONDS + SOON)
            feed.publish()
            await asyncio.sleep(SOON)
            return ended.task.done(), len(changes_of(ended)), other.task.done(), len(changes_of(other))

    assert run(scenario()) == (True, 0, False, 1)


def test_a_renewed_epoch_resets_the_open_streams():
    async def scenario():
        async with running() as (feed, gateway):
            client = StreamClient(gateway)
            await asyncio.sleep(SOON)
            feed.publish()
            await asyncio.sleep(SOON)
            feed.epoch = "e2"
            feed.publish()
            await asyncio.sleep(SOON)
            feed.publish()
            await asyncio.sleep(SOON)
            return client.events

    events = run(scenario())
    assert [event.type for event in events] == ["hello", "image.pending", "reset", "image.pending"]
    assert events[2].data == {"reason": "epoch_changed", "head": "e2-2"}
    assert events[3].last_id == "e2-3"


def test_heartbeats_show_lag_and_move_the_position():
    async def scenario():
        async with running() as (feed, gateway):
            client = StreamClient(gateway, Selection("", batch="quiet"))
            await asyncio.sleep(SOON)
            feed.publish()
            await asyncio.sleep(HEARTBEAT_SECONDS)
            feed.error = UNAVAILABLE
            await asyncio.sleep(HEARTBEAT_SECONDS)
            assert not client.task.done()
            return client.events

    hello, first, second = run(scenario())
    assert hello.last_id == "e1-0"
    assert (first.type, first.last_id, first.data["head"]) == ("heartbeat", "e1-1", "e1-1")
    assert first.data["lag_s"] < 2
    assert second.data["lag_s"] > HEARTBEAT_SECONDS - 2


def test_a_change_in_the_moment_of_a_heartbeat_is_not_skipped():
    """The heartbeat would move the client's position beyond a change that is still queued."""

    async def scenario():
        subscription = Subscription(Selection(""), lambda: None)
        taking = asyncio.create_task(subscription.take(HEARTBEAT_SECONDS))
        await asyncio.sleep(0)
        change = Group([FakeFeed().publish()])
        asyncio.get_running_loop().call_later(HEARTBEAT_SECONDS, subscription.offer, change)
        return await taking == [change]

    assert run(scenario())


def test_a_stream_survives_an_unavailable_database():
    async def scenario():
        async with running() as (feed, gateway):
            client = StreamClient(gateway)
            await asyncio.sleep(SOON)
            feed.error = UNAVAILABLE
            feed.publish()
            await asyncio.sleep(60)
            assert changes_of(client) == []
            feed.error = None
            await asyncio.sleep(2 * hub_module.POLL_SECONDS)
            return changes_of(client)

    assert len(run(scenario())) == 1


def test_a_stream_cannot_be_opened_without_the_database():
    async def scenario():
        async with running() as (feed, gateway):
            feed.error = UNAVAILABLE
            client = StreamClient(gateway)
            await client.task

    with pytest.raises(DependencyUnavailable):
        run(scenario())


def test_the_stream_of_an_image_begins_with_its_state_and_ends_with_a_final_one():
    async def scenario():
        async with running() as (feed, gateway):
            image = uuid.uuid4()
            of_image = {"selection": Selection("", frozenset({image})), "image_id": image}
            feed.publish("PENDING", image_id=image)
            feed.publish("PENDING")
            client = StreamClient(gateway, until_final=True, **of_image)
            follower = StreamClient(gateway, until_final=False, **of_image)
            await asyncio.sleep(SOON)
            feed.publish("PROCESSING", image_id=image)
            await asyncio.sleep(SOON)
            feed.publish("DONE", image_id=image)
            await asyncio.sleep(SOON)
            assert client.task.done()
            feed.publish("DELETED", image_id=image)
            await asyncio.sleep(SOON)
            late = StreamClient(gateway, until_final=True, **of_image)
            resumed = StreamClient(gateway, until_final=True, resume="e1-3", **of_image)
            finished = StreamClient(gateway, until_final=True, resume="e1-5", **of_image)
            await asyncio.gather(late.task, resumed.task, finished.task)
            assert not follower.task.done()
            return client, follower, late, resumed, finished

    client, follower, late, resumed, finished = run(scenario())
    assert [(event.type, event.seq) for event in changes_of(client)] == [
        ("image.pending", 1),
        ("image.processing", 3),
        ("image.done", 4),
    ]
    assert [event.seq for event in changes_of(follower)] == [1, 3, 4, 5]
    assert [event.type for event in changes_of(late)] == ["image.deleted"]
    assert [event.type for event in changes_of(resumed)] == ["image.done", "image.deleted"]
    assert finished.status == 204


def test_the_stream_of_an_image_waits_for_its_first_change():
    async def scenario():
        async with running() as (feed, gateway):
            image = uuid.uuid4()
            client = StreamClient(gateway, Selection("", frozenset({image})), image_id=image, until_final=True)
            await asyncio.sleep(SOON)
            feed.publish("FAILED", image_id=image)
            await asyncio.sleep(SOON)
            assert client.task.done()
            return changes_of(client)

    assert [event.type for event in run(scenario())] == ["image.failed"]


@pytest.mark.parametrize("until_final", [True, False])
@pytest.mark.parametrize("resume", [None, "e1-0", "earliest", "e0-9"])
def test_an_unknown_image_has_no_stream(resume, until_final):
    async def scenario():
        async with running() as (feed, gateway):
            feed.publish()
            image = uuid.uuid4()
            feed.unknown.add(image)
            selection = Selection("", frozenset({image}))
            client = StreamClient(gateway, selection, resume, image_id=image, until_final=until_final)
            await asyncio.sleep(SOON)
            with pytest.raises(Problem) as problem:
                client.task.result()
            return client.status, problem.value.code

    assert run(scenario()) == (None, Code.IMAGE_NOT_FOUND)


def test_a_client_that_does_not_read_is_closed_and_can_resume():
    async def scenario():
        async with running() as (feed, gateway):
            feed.limit, feed.window = 500, 10**6
            slow, quick = StreamClient(gateway), StreamClient(gateway)
            await asyncio.sleep(SOON)
            slow.stop_reading()
            for _ in range(20):
                for _ in range((MAX_CHANGES + 200) // 20):
                    feed.publish()
                await asyncio.sleep(SOON)
            assert slow.is_aborted
            assert slow.task.done()
            resumed = StreamClient(gateway, resume=slow.events[-1].last_id)
            await asyncio.sleep(SOON)
            return [[event.seq for event in changes_of(client)] for client in (slow, resumed, quick)]

    slow, resumed, quick = run(scenario())
    assert slow + resumed == quick == list(range(1, MAX_CHANGES + 201))


def test_too_many_streams_are_rejected():
    async def scenario():
        async with running(max_connections=2) as (_, gateway):
            clients = [StreamClient(gateway) for _ in range(3)]
            await asyncio.sleep(SOON)
            with pytest.raises(Problem) as problem:
                await clients[2].task
            assert problem.value.code == Code.TOO_MANY_STREAMS
            assert "Retry-After" in problem.value.headers
            await clients[0].cut()
            freed = StreamClient(gateway)
            await asyncio.sleep(SOON)
            return freed.status

    assert run(scenario()) == 200


def test_a_stop_ends_all_streams_even_those_that_are_not_read():
    async def scenario():
        async with running() as (feed, gateway):
            clients = [StreamClient(gateway) for _ in range(3)]
            await asyncio.sleep(SOON)
            clients[0].stop_reading()
            feed.publish()
            await asyncio.sleep(SOON)
            gateway.hub.close()
            await asyncio.sleep(0.001)
            assert [client.task.done() for client in clients] == [False, True, True]
            await asyncio.sleep(hub_module.CLOSE_SECONDS)
            assert clients[0].task.done()
            return [len(changes_of(client)) for client in clients]

    assert run(scenario()) == [0, 1, 1]


IMAGES = [uuid.UUID(int=number) for number in range(3)]
SELECTIONS = (
    Selection(""),
    Selection("", frozenset(IMAGES[:1])),
    Selection("", batch="a"),
    Selection("", types=frozenset({"image.done"})),
    Selection("acme"),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("publish"),
            st.integers(1, 8),
            st.sampled_from(IMAGES),
            st.booleans(),
            st.sampled_from([None, "a"]),
            st.sampled_from(["", "acme"]),
        ),
        st.tuples(st.just("wait"), st.sampled_from([0, 0.002, 0.03, 0.06, 0.5, 1.1, 16])),
        st.tuples(st.just("cut"), st.integers(0, 1), st.integers(0, 2000)),
        st.tuples(st.just("cut"), st.integers(0, 1), st.just(0)),
        st.tuples(st.just("outage"), st.floats(0.1, 3)),
    ),
    max_size=25,
)


@given(st.sampled_from(SELECTIONS), STEPS)
def test_any_cuts_resumed_at_any_gateway_give_each_change_once_and_in_order(selection, steps):
    async def scenario():
        async with running(gateways=2) as (feed, *gateways):
            for gateway in gateways:  # another client, so that the hubs read on while this one is away
                await StreamClient(gateway, Selection("", batch="quiet")).opened()
            client, received = StreamClient(gateways[0], selection), []
            await client.opened()
            for step, *values in steps:
                if step == "publish":
                    count, image_id, is_notified, batch, tenant = values
                    for number in range(count):
                        status = "DONE" if number % 2 else "PENDING"
                        feed.publish(status, image_id=image_id, batch=batch, notified=is_notified, tenant=tenant)
                elif step == "wait":
                    await asyncio.sleep(values[0])
                elif step == "outage":
                    feed.error = UNAVAILABLE
                    await asyncio.sleep(values[0])
                    feed.error = None
                else:
                    gateway, lost_bytes = values
                    await client.cut()
                    last_id = resume_of(client, lost_bytes, received)
                    client = StreamClient(gateways[gateway], selection, last_id)
            for _ in range(40):
                await asyncio.sleep(0.5)
                if client.task.done():  # the database was unavailable
                    await asyncio.gather(client.task, return_exceptions=True)
                    last_id = resume_of(client, 0, received)
                    client = StreamClient(gateways[0], selection, last_id)
            received += changes_of(client)
            return received, [change for change in feed.changes if selection.matches(change)]

    received, expected = run(scenario())
    assert [event.seq for event in received] == [change.id.seq for change in expected]


def resume_of(client, lost_bytes, received):
    """Drop the last bytes of a stream that was cut; add its changes, and return the id with which to resume."""
    client.content = client.content[: max(client.known_bytes, len(client.content) - lost_bytes)]
    events = client.events
    received += changes_of(client)
    return events[-1].last_id if events else client.resume
