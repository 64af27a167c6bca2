"""Streams with a real Postgres: the tests write the changes."""

import signal

import httpx

from tests.support.live import SECONDS, metric, second_gateway, wait_changes
from tests.support.waiting import wait_until

STREAMS = 200
STOP_SECONDS = 10  # to stop with open streams: uvicorn alone waits for them for 20
SLOW, PAD = 3000, "x" * 4000  # changes, and bytes in each: more than the buffers of a connection hold


def test_the_type_is_exact_and_nothing_is_compressed(fresh, opened):
    stream = opened(**{"Accept-Encoding": "gzip, br, zstd", "Accept": "text/event-stream"})
    fresh.put_changes("DONE")
    wait_changes(stream, 1)
    headers = {name: value for name, _, value in (line.partition(": ") for line in stream.head.split("\r\n")[1:])}
    assert stream.head.startswith("HTTP/1.1 200 ")
    assert headers["content-type"] == "text/event-stream"
    assert headers["cache-control"] == "no-store"
    assert headers["x-accel-buffering"] == "no"
    assert "content-encoding" not in headers
    assert b"event: image.done\ndata: {" in stream.content


def test_a_head_request_opens_no_stream(fresh, client):
    answer = client.head("/api/v1/stream")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")


def test_a_change_that_follows_hello_arrives(fresh, opened):
    for _ in range(10):
        stream = opened()
        image_id = fresh.put_changes("DONE")
        assert wait_changes(stream, 1)[0].data["data"]["id"] == str(image_id)


def test_a_change_is_never_newer_than_the_image(fresh, client, opened):
    stream = opened()
    image_id = fresh.put_changes("PENDING", "PROCESSING", "DONE")
    seen = []
    for number in range(1, 4):
        change = wait_changes(stream, number)[number - 1].data
        image = client.get(f"/api/v1/images/{image_id}").json()
        assert image["version"] >= change["data"]["version"]
        seen.append(change)
    assert seen[-1]["data"] == image
    assert [change["id"] for change in seen] == [change["data"]["event_id"] for change in seen]


def test_a_change_is_the_same_in_a_stream_and_in_the_list(fresh, client, opened):
    stream = opened()
    fresh.put_changes("PENDING", "DONE", batch="trip-7")
    changes = [event.data for event in wait_changes(stream, 2)]
    start = stream.events[0].last_id
    listed = client.get("/api/v1/changes", params={"after": start}).json()
    assert (listed["items"], listed["next"], listed["reset"]) == (changes, changes[-1]["id"], None)
    one = client.get("/api/v1/changes", params={"after": "earliest", "limit": 1, "batch": "trip-7"}).json()
    assert (one["items"], one["next"]) == (changes[:1], changes[0]["id"])
    types = client.get("/api/v1/changes", params={"after": start, "type": "image.done"}).json()
    assert types["items"] == changes[1:]
    unknown = client.get("/api/v1/changes", params={"after": "other-1"}).json()
    assert (unknown["items"], unknown["reset"], unknown["next"]) == ([], "epoch_changed", listed["head"])
    assert client.get("/api/v1/changes").json()["items"] == []
    assert client.get("/api/v1/changes", params={"type": "image.eaten"}).status_code == 422


def test_too_many_streams(fresh, opened):
    with (
        second_gateway(fresh, MAX_LIVE_CONNECTIONS="2") as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=SECONDS) as client,
    ):
        first, _ = opened(port=port), opened(port=port)
        answer = client.get("/api/v1/stream")
        assert (answer.status_code, answer.json()["code"]) == (503, "too_many_streams")
        assert int(answer.headers["Retry-After"]) > 0
        cut = client.get("/api/v1/changes", headers={"Prefer": "wait=20"})
        assert cut.status_code == 200
        assert "Preference-Applied" not in cut.headers
        first.close()
        wait_until(lambda: metric(client, 'thumbmill_live_connections{kind="stream"}') == 1, what="a free place")
        assert opened(port=port).head.startswith("HTTP/1.1 200 ")


def test_a_slow_reader_is_disconnected_and_can_resume(fresh, client, opened):
    slow = opened(buffer=4096)
    closed = metric(client, "thumbmill_slow_streams_total")
    for _ in range(SLOW // 250):
        fresh.put_many_changes(250, PAD)
    wait_until(lambda: metric(client, "thumbmill_slow_streams_total") == closed + 1, SECONDS, "a closed stream")
    slow.read_until(lambda _: False)
    assert not slow.has_ended
    last = slow.events[-1]
    resumed = opened(**{"Last-Event-ID": last.last_id})
    assert wait_changes(resumed, 1)[0].seq == last.seq + 1


def test_streams_outlive_a_restart_of_postgres(fresh, opened):
    stream = opened()
    fresh.stack.stop("postgres")
    fresh.stack.start("postgres")
    image_id = fresh.put_changes("DONE")
    assert wait_changes(stream, 1)[0].data["data"]["id"] == str(image_id)
    listening = "SELECT pid FROM pg_stat_activity WHERE usename = 'gateway' AND query LIKE 'LISTEN %%'"
    wait_until(lambda: fresh.sql(listening), what="notifications")


def test_a_stop_ends_200_streams_at_once_and_they_resume(fresh, port, opened):
    fresh.put_changes("DONE")
    streams = [opened() for _ in range(STREAMS)]
    fresh.stack.signal("gateway", signal.SIGTERM)
    assert fresh.stack.wait_exit("gateway", STOP_SECONDS) == 0, fresh.stack.log_tail("gateway")
    for stream in streams:
        assert stream.read_until(lambda one: one.has_ended).has_ended
    image_id = fresh.put_changes("DONE")
    fresh.stack.start("gateway")
    for stream in streams:
        resumed = opened(**{"Last-Event-ID": stream.events[-1].last_id})
        assert [event.data["data"]["id"] for event in wait_changes(resumed, 1)] == [str(image_id)]
