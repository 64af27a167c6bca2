import asyncio
import uuid
from types import SimpleNamespace

import pytest
from starlette.requests import ClientDisconnect

from tests.unit.gateway.live_fakes import FakeFeed, Gateway, run
from thumbmill.gateway.http.prefer import MAX_WAIT_SECONDS, wanted_seconds
from thumbmill.gateway.live.selection import FINAL_TYPES, Selection
from thumbmill.gateway.live.waits import Waits


@pytest.mark.parametrize(
    ("prefer", "parameter", "seconds"),
    [
        ([], None, 0),
        ([], 5, 5),
        (["wait=7"], 5, 7),
        (["respond-async, Wait = 7; strict"], None, 7),
        (["return=minimal", 'wait="3"'], None, 3),
        (["wait=2, wait=9"], None, 2),
        (["wait=999999"], None, MAX_WAIT_SECONDS),
        ([], 999, MAX_WAIT_SECONDS),
        (["wait=-1"], 4, 4),
        (["wait=1.5"], None, 0),
        (["wait"], None, 0),
        (["await=5"], None, 0),
        (["wait=0"], 9, 0),
    ],
)
def test_how_long_a_client_waits(prefer, parameter, seconds):
    assert wanted_seconds(prefer, parameter) == seconds


class Client:
    """A client that waits for an image to be final."""

    def __init__(self, gateway, feed, image, seconds=10):
        self._is_gone = asyncio.Event()
        self.reads = []
        self.answered_at = None
        self.task = asyncio.create_task(self._run(gateway, feed, image, seconds))

    async def _run(self, gateway, feed, image, seconds):
        async def read():
            self.reads.append(asyncio.get_running_loop().time())
            return await feed.find(image)

        selection = Selection("", frozenset({image}), types=FINAL_TYPES)
        request = SimpleNamespace(receive=self._receive, scope={})
        waited = await Waits(gateway.hub).until(
            request, seconds, selection, read, lambda row: row.status in {"DONE", "FAILED"}
        )
        self.answered_at = asyncio.get_running_loop().time()
        return waited.result.status, waited.seconds

    async def _receive(self):
        await self._is_gone.wait()
        return {"type": "http.disconnect"}

    def leave(self):
        self._is_gone.set()


def with_client(act, *, seconds=10, max_connections=1):
    """Run ``act`` while a client waits; return what the client got and how often it read."""

    async def scenario():
        feed = FakeFeed()
        gateway = Gateway(feed, max_connections=max_connections)
        image = uuid.uuid4()
        client = Client(gateway, feed, image, seconds)
        try:
            await asyncio.sleep(0.5)
            await act(feed, gateway, image, client)
            return await client.task, client
        finally:
            await gateway.stop()

    return run(scenario())


def test_a_wait_ends_with_the_change():
    async def act(feed, _gateway, image, _client):
        feed.publish("PROCESSING", image_id=image)
        feed.publish("DONE")
        feed.publish("DONE", image_id=image)

    answer, client = with_client(act)
    assert answer == ("DONE", 10)
    assert len(client.reads) == 2  # nothing is read for changes that cannot be enough
    assert client.answered_at < 0.7


def test_a_wait_ends_with_its_time():
    async def act(feed, _gateway, image, _client):
        feed.publish("PROCESSING", image_id=image)

    answer, client = with_client(act, seconds=3)
    assert answer == ("PENDING", 3)
    assert client.answered_at == pytest.approx(3, abs=0.2)


def test_what_is_final_already_is_returned_at_once():
    async def scenario():
        feed = FakeFeed()
        gateway = Gateway(feed)
        image = uuid.uuid4()
        feed.publish("FAILED", image_id=image)
        client = Client(gateway, feed, image)
        try:
            return await client.task, client.answered_at
        finally:
            await gateway.stop()

    answer, answered_at = run(scenario())
    assert answer == ("FAILED", 10)
    assert answered_at < 0.1


def test_a_wait_is_not_applied_beyond_the_limit():
    async def act(_feed, _gateway, _image, _client):
        pass

    answer, client = with_client(act, max_connections=0)
    assert answer == ("PENDING", 0)
    assert client.answered_at < 0.1


def test_a_stop_answers_waits_at_once():
    async def act(_feed, gateway, _image, _client):
        gateway.hub.close()

    answer, client = with_client(act)
    assert answer[0] == "PENDING"
    assert client.answered_at < 1


def test_a_client_that_leaves_frees_its_place():
    async def act(feed, gateway, image, client):
        client.leave()
        with pytest.raises(ClientDisconnect):
            await client.task
        following = Client(gateway, feed, image, 1)
        assert await following.task == ("PENDING", 1)  # the only place is free again
        client.task = following.task

    with_client(act)
