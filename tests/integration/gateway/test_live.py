"""Streams, waits and lists of changes with a real Postgres: the tests write the changes."""

import random
import signal
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from urllib.parse import urlencode

import httpx
import psycopg
import pytest

from devstack.probes import answers_http
from tests.support.services import free_port
from tests.support.sse import parse_events
from tests.support.waiting import wait_until

SECONDS = 30  # for what takes milliseconds
STREAMS = 200
STOP_SECONDS = 10  # to stop with open streams: uvicorn alone waits for them for 20
SLOW, PAD = 3000, "x" * 4000  # changes, and bytes in each: more than the buffers of a connection hold


class Stream:
    """A raw connection with one stream, which reads nothing unless asked."""

    def __init__(self, port, path="/api/v1/stream", *, buffer=None, **headers):
        self.content = bytearray()
        self.is_open = True
        self._socket = socket.socket()
        if buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._socket.settimeout(SECONDS)
        try:
            self._socket.connect(("127.0.0.1", port))
        except OSError:
            self._socket.close()
            raise
        fields = {"Host": f"127.0.0.1:{port}", **headers}
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def limit(self, seconds):
        """Raise TimeoutError where nothing arrives for this long."""
        self._socket.settimeout(seconds)

    def read(self):
        """Read what has arrived, at least a byte, or the end."""
        data = b""
        with suppress(ConnectionResetError):
            data = self._socket.recv(65536)
        self.is_open = bool(data)
        self.content += data

    def read_until(self, is_enough):
        while self.is_open and not is_enough(self):
            self.read()
        return self

    def close(self):
        self._socket.close()

    @property
    def head(self):
        return self.content.partition(b"\r\n\r\n")[0].decode()

    @property
    def body(self):
        """The body, without the framing of its chunks, of which the last may be incomplete."""
        rest, body = self.content.partition(b"\r\n\r\n")[2], b""
        while b"\r\n" in rest:
            size, _, rest = rest.partition(b"\r\n")
            body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        return body

    @property
    def has_ended(self):
        """Whether the gateway has ended the body, rather than broken the connection."""
        return self.content.endswith(b"\r\n0\r\n\r\n")

    @property
    def events(self):
        return parse_events(self.body)

    @property
    def changes(self):
        return [event for event in self.events if event.type.startswith("image.")]


@pytest.fixture
def port(fresh):
    return fresh.stack.installation.ports["GATEWAY_PORT"]


@pytest.fixture
def opened(port):
    """Return a function that opens a stream and waits for its hello."""
    streams = []

    def open_stream(path="/api/v1/stream", **options):
        stream = Stream(options.pop("port", port), path, **options)
        streams.append(stream)
        return stream.read_until(lambda one: one.events)

    yield open_stream
    for stream in streams:
        stream.close()


def wait_changes(stream, count):
    stream.read_until(lambda one: len(one.changes) >= count)
    return stream.changes


def metric(client, name):
    lines = client.get("/metrics").text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0)


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


def test_a_list_waits_for_the_first_change(fresh, client):
    with ThreadPoolExecutor() as pool:
        start = client.get("/api/v1/changes").json()["next"]
        waiting = pool.submit(client.get, "/api/v1/changes", params={"after": start, "wait": 25})
        wait_until(lambda: metric(client, 'thumbmill_live_connections{kind="wait"}') == 1, what="a waiting client")
        image_id = fresh.put_changes("PENDING")
        answer = waiting.result(SECONDS)
    assert [item["data"]["id"] for item in answer.json()["items"]] == [str(image_id)]
    assert answer.headers["Preference-Applied"] == "wait=25"
    assert answer.headers["Vary"] == "Prefer"
    empty = client.get("/api/v1/changes", params={"after": answer.json()["next"]}, headers={"Prefer": "wait=1"})
    assert (empty.json()["items"], empty.headers["Preference-Applied"]) == ([], "wait=1")


def test_an_image_is_waited_for(fresh, client):
    image_id = fresh.put_changes("PENDING")
    path = f"/api/v1/images/{image_id}"
    etag = client.get(path).headers["ETag"]
    with ThreadPoolExecutor() as pool:
        final = pool.submit(client.get, path, headers={"Prefer": "wait=25"})
        changed = pool.submit(client.get, path, headers={"Prefer": "wait=25", "If-None-Match": etag})
        wait_until(lambda: metric(client, 'thumbmill_live_connections{kind="wait"}') == 2, what="waiting clients")
        fresh.put_changes("PROCESSING", image_id=image_id)
        assert changed.result(SECONDS).json()["status"] == "PROCESSING"
        fresh.put_changes("FAILED", image_id=image_id)
        assert final.result(SECONDS).json()["status"] == "FAILED"
    answer = client.get(path, headers={"Prefer": "wait=1", "If-None-Match": final.result().headers["ETag"]})
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (304, "wait=1")


def test_a_client_that_leaves_ends_its_wait(fresh, client, port):
    waiting = Stream(port, "/api/v1/changes?wait=30")
    wait_until(lambda: metric(client, 'thumbmill_live_connections{kind="wait"}') == 1, what="a waiting client")
    waiting.close()
    wait_until(lambda: metric(client, 'thumbmill_live_connections{kind="wait"}') == 0, 10, "the wait to end")


def test_a_batch_is_finished_when_the_tracker_has_caught_up(fresh, client):
    path = "/api/v1/batches/trip-7"
    assert client.get(path).json() == {
        "batch": "trip-7",
        "total": 0,
        "counts": {},
        "finished": False,
        "event_id": None,
    }
    first, second = fresh.put_changes("DONE", batch="trip-7"), fresh.put_changes("PENDING", batch="trip-7")
    fresh.put_changes("DONE", batch="other")
    pending = client.get(path)
    assert (pending.json()["counts"], pending.json()["finished"]) == ({"DONE": 1, "PENDING": 1}, False)
    assert pending.headers["Retry-After"] == "1"
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(client.get, path, headers={"Prefer": "wait=25"})
        wait_until(lambda: metric(client, 'thumbmill_live_connections{kind="wait"}') == 1, what="a waiting client")
        fresh.put_changes("FAILED", image_id=second, batch="trip-7")
        unsure = client.get(path)  # a later upload may be stored and not yet recorded
        assert (unsure.json()["counts"], unsure.json()["finished"]) == ({"DONE": 1, "FAILED": 1}, False)
        fresh.catch_up()
        finished = waiting.result(SECONDS)
    assert finished.json()["finished"]
    assert "Retry-After" not in finished.headers
    last = client.get(f"/api/v1/images/{second}").json()["event_id"]
    assert finished.json()["event_id"] == last
    same = client.get(path, headers={"If-None-Match": finished.headers["ETag"]})
    assert (same.status_code, same.content) == (304, b"")
    for parameters, found in (({}, [second, first]), ({"status": "FAILED"}, [second])):
        listed = client.get("/api/v1/images", params={"batch": "trip-7", **parameters}).json()
        assert [item["id"] for item in listed["items"]] == [str(image_id) for image_id in found]
    assert client.get("/api/v1/batches/not a label").status_code == 422


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


SELECTIONS = ({}, {"batch": "a"}, {"type": ["image.done", "image.failed"]}, {"batch": "b", "type": "image.done"})


def test_cut_anywhere_and_resumed_at_any_gateway_each_change_comes_once_and_in_order(fresh, port):
    """Three clients write, one gateway restarts, and streams are cut after any byte."""
    is_over = threading.Event()
    with second_gateway(fresh) as another, ThreadPoolExecutor(16) as pool:
        start = fresh.client.get("/api/v1/changes").json()["next"]
        readers = [
            pool.submit(read_with_cuts, random.Random(seed), (port, another), SELECTIONS[seed % 4], start, is_over)
            for seed in range(4)
        ]
        writers = [pool.submit(write_changes, fresh, random.Random(seed)) for seed in range(3)]
        writers[0].result(SECONDS * 2)
        fresh.stack.restart("gateway")
        for writer in writers:
            writer.result(SECONDS * 2)
        fresh.put_changes("DONE", batch="a")
        fresh.put_changes("DONE", batch="b")  # the last change of every selection
        is_over.set()
        received = [reader.result(SECONDS * 2) for reader in readers]
    rows = fresh.sql("SELECT seq, type, batch FROM changes ORDER BY seq")
    assert len(rows) > 130
    for number, sequence in enumerate(received):
        wanted = SELECTIONS[number % 4]
        assert sequence == [
            seq
            for seq, type_, batch in rows
            if wanted.get("batch", batch) == batch and type_ in wanted.get("type", type_)
        ]


def write_changes(system, chance):
    with closing(psycopg.connect(system.owner, autocommit=True)) as connection:
        for _ in range(15):
            system.put_changes(
                "PENDING",
                "PROCESSING",
                chance.choice(["DONE", "FAILED"]),
                batch=chance.choice("ab"),
                connection=connection,
            )


def read_with_cuts(chance, ports, selection, last_id, is_over):
    """Follow a selection by streams that are cut after any number of bytes; return the numbers of its changes."""
    path, received = f"/api/v1/stream?{urlencode(selection, doseq=True)}", []
    while not (is_over.is_set() and follows_nothing(ports[1], selection, last_id)):
        limit = chance.randrange(300, 20_000)
        try:
            stream = Stream(chance.choice(ports), path, **{"Last-Event-ID": last_id})
        except ConnectionError:  # the gateway restarts
            is_over.wait(0.05)
            continue
        with closing(stream), suppress(TimeoutError):
            stream.limit(1)  # in case that nothing more comes
            stream.read_until(lambda one, limit=limit: len(one.content) > limit)
        del stream.content[limit:]
        events = stream.events
        received += [event.seq for event in events if event.type.startswith("image.")]
        last_id = events[-1].last_id if events else last_id
    return received


def follows_nothing(port, selection, last_id):
    answer = httpx.get(f"http://127.0.0.1:{port}/api/v1/changes", params={"after": last_id, **selection})
    return not answer.json()["items"]


@contextmanager
def second_gateway(system, **changes):
    """Run another gateway for a while; yield its port."""
    process, port = system.stack.table["gateway"], free_port()
    settings = {**process.environment, "GATEWAY_PORT": port, **changes}
    with system.stack.log_path("second-gateway").open("ab") as output:
        second = subprocess.Popen(
            process.command, env=settings, cwd=process.directory, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_until(lambda: answers_http(int(port), "/readyz"), 60, "a second gateway")
        yield int(port)
    finally:
        second.terminate()
        second.wait(40)
