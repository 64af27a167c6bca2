"""The cost of one client for the others: connections, headers, time, memory."""

import select
import selectors
import socket
import threading
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from tests.support.images import noise, photo
from tests.support.raw_http import connected
from tests.support.system import problem
from tests.support.waiting import wait_until

MIB = 1024 * 1024
SILENT = 1500
READERS = 60  # more than the gateway keeps connections to MinIO
TRICKLES = 32  # as many as there are upload slots


def head(path="/health", fields=b"", method=b"GET"):
    return method + b" " + path.encode() + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n" + fields


CHUNKED = b"Transfer-Encoding: chunked\r\nContent-Type: image/jpeg\r\n\r\n1\r\nx\r\n0\r\n"
FIELDS = b"X-Header: y\r\n" * 5000
VALUE = b"y" * 65_000
WITHOUT_END = {
    "small fields": (head(), FIELDS),
    "a long value": (head(fields=b"X: "), VALUE),
    "a trailer": (head("/nothing", CHUNKED, b"POST"), FIELDS),
    "a long trailer": (head("/nothing", CHUNKED + b"X: ", b"POST"), VALUE),
    "an address": (b"GET /", VALUE),
    "a chunk's extension": (head("/nothing", b"Transfer-Encoding: chunked\r\n\r\n1;", b"POST"), VALUE),
}


@pytest.mark.parametrize("case", WITHOUT_END.values(), ids=WITHOUT_END)
def test_an_endless_header_or_trailer_section_is_rejected(system, case):
    begin, more = case
    before = resident_bytes(system)
    with connected(system) as client:
        client.send(begin)
        for _ in range(200):  # 13 MB, which took 270 MB of memory, or seconds of CPU
            if select.select([client.socket], [], [], 0)[0] or not client.send(more):
                break
        assert resident_bytes(system) - before < 30 * MIB
        answers = [(answer.status, answer.code) for answer in client.read_responses()]
    # A trailer may arrive after the response: another response would be that of the next request.
    expected = {(431, "headers_too_large"), *([(404, "not_found")] if begin.startswith(b"POST") else [])}
    assert len(answers) == 1
    assert answers[0] in expected
    assert system.http.get("/health").status_code == 200


def test_a_header_section_that_is_too_large_is_431(system):
    many = b"".join(b"X-%d: y\r\n" % number for number in range(101))
    for fields in (many, b"X: " + b"y" * 65536 + b"\r\n"):
        with connected(system) as client:
            client.send(head(fields=fields) + b"\r\n")
            assert [(answer.status, answer.code) for answer in client.read_responses()] == [
                (431, "headers_too_large")
            ]
    assert system.http.get("/health", headers={"X": "y" * 60_000}).status_code == 200


def resident_bytes(system):
    lines = Path(f"/proc/{system.stack.pid('gateway')}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) * 1024


@contextmanager
def silent_connections(system, count):
    with ExitStack() as opened:
        address = ("127.0.0.1", system.ports["GATEWAY_PORT"])
        yield [opened.enter_context(socket.create_connection(address, timeout=30)) for _ in range(count)]


def test_idle_connections_block_no_others(system):
    with silent_connections(system, SILENT) as silent:
        with httpx.Client(base_url=system.http.base_url, timeout=30) as client:
            assert client.get("/health").status_code == 200
            assert client.get("/api/v1/images").status_code == 200
        assert system.wait_status(system.post_form(photo())["id"])
        with selectors.DefaultSelector() as selector:
            for one in silent:
                selector.register(one, selectors.EVENT_READ)
            wait_until(lambda: len(selector.select(0)) == SILENT, 60, "every silent connection to be closed")


def test_a_header_section_that_trickles_in_times_out(system):
    with connected(system) as client:
        client.send(head())
        trickle = threading.Event()
        while client.send(b"X: y\r\n") and not trickle.wait(0.5):
            client.socket.setblocking(False)
            try:
                if client.socket.recv(1, socket.MSG_PEEK):
                    break
            except BlockingIOError:
                pass
            finally:
                client.socket.settimeout(30)
        answer = client.read_response()
        assert (answer.status, answer.code) == (408, "request_timeout")


def test_trickling_uploads_give_way_to_others(system):
    begin = head("/api/v1/images", b"Content-Type: image/jpeg\r\nContent-Length: 1000000\r\n\r\n", b"POST")
    with ExitStack() as opened:
        for _ in range(TRICKLES):
            opened.enter_context(connected(system)).send(begin + b"\xff\xd8\xff")
        wait_until(
            lambda: system.metric("GATEWAY_PORT", "thumbmill_uploads_running") == TRICKLES, 30, "full places"
        )

        def taken():
            answer = system.http.post("/api/v1/images", files={"file": ("photo.jpg", photo())})
            if answer.status_code == 202:
                return answer.json()["id"]
            assert problem(answer, 503) == "too_many_uploads"
            return None

        image_id = wait_until(taken, 25, "a place")  # before the trickles' half minute is over
        assert system.http.get("/health").status_code == 200
    system.wait_status(image_id)


def metrics(system):
    return system.http.get("/metrics", headers={"X-API-Key": "b-key"}).text.splitlines()


def test_a_key_that_holds_many_slots_leaves_some_to_other_keys(system):
    fields = b"Content-Type: image/jpeg\r\nContent-Length: 1000000\r\nX-API-Key: a-key\r\n\r\n"
    begin = head("/api/v1/images", fields, b"POST") + b"\xff\xd8\xff"
    photos = {"file": ("photo.jpg", photo())}
    # No body is too slow, so that only the sharing can help.
    with ExitStack() as opened:
        opened.enter_context(system.restarted("gateway", API_KEYS="a-key,b-key", MIN_BODY_RATE="0"))
        assert f"thumbmill_uploads_places {TRICKLES:.1f}" in metrics(system)
        for _ in range(TRICKLES):
            opened.enter_context(connected(system)).send(begin)
        wait_until(lambda: "thumbmill_uploads_running 28.0" in metrics(system), 30, "the share of a key")
        refused = system.http.post("/api/v1/images", files=photos, headers={"X-API-Key": "a-key"})
        assert problem(refused, 503) == "too_many_uploads"
        served = system.http.post("/api/v1/images", files=photos, headers={"X-API-Key": "b-key"})
        assert served.status_code == 202
    system.wait_status(served.json()["id"])


def test_a_limited_key_gets_a_429_with_the_fields_of_the_draft(system):
    limits = {"API_KEYS": "a-key,b-key", "MAX_REQUESTS_PER_MINUTE": "3", "MAX_BYTES_PER_DAY": "100"}
    with system.restarted("gateway", **limits):
        answers = [system.http.get("/api/v1/images", headers={"X-API-Key": "a-key"}) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[0].headers["ratelimit-policy"] == '"requests";q=3;w=60;thumbmill-per="gateway"'
        assert answers[0].headers["ratelimit"] == '"requests";r=2;t=20'
        assert problem(answers[3], 429) == "rate_limited"
        assert answers[3].json()["violated-policies"] == ["requests"]
        wait = answers[3].headers["retry-after"]
        assert 1 <= int(wait) <= 20
        assert answers[3].headers["ratelimit"] == f'"requests";r=0;t={wait}'
        assert 'thumbmill_rate_limited_total{policy="requests"} 1.0' in metrics(system)

        too_much = {"content_type": "image/jpeg", "method": "parts", "bytes": 60}
        tickets = [
            system.http.post("/api/v1/uploads", json=too_much, headers={"X-API-Key": "b-key"}) for _ in range(2)
        ]
        assert [answer.status_code for answer in tickets] == [201, 429]
        assert tickets[1].json()["violated-policies"] == ["bytes"]
    ticket = tickets[0].json()
    system.http.delete(f"/api/v1/uploads/{ticket['id']}", params={"upload_id": ticket["upload_id"]})


def test_clients_that_read_nothing_cost_little_and_leave_nothing(system):
    image_id = system.post_form(noise(3000, 3000), name="noise.png")["id"]
    log = system.stack.log_path("gateway")
    before, read = resident_bytes(system), log.stat().st_size
    request = head(f"/api/v1/images/{image_id}/variants/original") + b"\r\n"
    with ExitStack() as opened:
        for _ in range(READERS):
            client = opened.enter_context(connected(system))
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.send(request)
        wait_until(lambda: store_connections(system) >= READERS, 60, "every reader to be served")
        assert system.http.get("/health").status_code == 200
        assert resident_bytes(system) - before < 100 * MIB
    wait_until(lambda: store_connections(system) < READERS, 30, "the readers to be disconnected")
    with connected(system) as client:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.send(request)
        with system.stopped("minio"):  # in the middle of the response, which can only be aborted
            while client.socket.recv(MIB):
                pass
    with log.open("rb") as file:
        file.seek(read)
        text = file.read()
    assert b"Traceback" not in text
    assert b"request_failed" not in text


def store_connections(system):
    """Return the number of connections from the gateway to MinIO."""
    process = Path(f"/proc/{system.stack.pid('gateway')}")
    port = f":{system.ports['MINIO_PORT']:04X}"
    rows = [line.split() for line in (process / "net/tcp").read_text().splitlines()[1:]]
    sockets = {f"socket:[{row[9]}]" for row in rows if row[2].endswith(port)}
    found = 0
    for link in (process / "fd").iterdir():
        with suppress(FileNotFoundError):  # closed since
            found += str(link.readlink()) in sockets
    return found
