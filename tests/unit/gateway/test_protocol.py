"""How requests are told apart on a connection, and what is refused there, without a socket."""

import asyncio
import hashlib
import json
import random

import pytest
import uvicorn
from uvicorn.server import ServerState

from thumbmill.gateway.http import protocol
from thumbmill.gateway.http.connections import ConnectionLimiter
from thumbmill.gateway.http.protocol import (
    MAX_DRAINS,
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    MAX_PIPELINED,
    protocol_for,
)

TURNS = 60  # of the loop: more than any answer here takes
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


async def echo(scope, receive, send):
    """Answer with what was asked, once the body is here."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    names = sorted(name.decode() for name, _ in scope["headers"])
    content = json.dumps([scope["method"], scope["path"], hashlib.sha256(body).hexdigest(), names]).encode()
    headers = [(b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


class Transport(asyncio.Transport):
    def __init__(self):
        self.written = b""
        self.closed = self.ended = self.paused = False

    def get_extra_info(self, _, default=None):
        return default

    def write(self, data):
        assert not self.ended
        self.written += data

    def can_write_eof(self):
        return True

    def write_eof(self):
        self.ended = True

    def is_closing(self):
        return self.closed

    def close(self):
        self.closed = True

    abort = close

    def pause_reading(self):
        self.paused = True

    def resume_reading(self):
        self.paused = False


class Peer:
    """A client's end of one connection."""

    def __init__(self, app=echo, limiter=None, config=None):
        if config is None:
            config = uvicorn.Config(
                app, http=protocol_for(limiter or ConnectionLimiter(10)), log_config=None, ws="none"
            )
            config.load()
        self.protocol = config.http_protocol_class(config, ServerState(), {}, asyncio.get_running_loop())
        self.transport = Transport()
        self.protocol.connection_made(self.transport)

    async def send(self, *segments):
        for segment in segments:
            if not self.transport.closed:
                self.protocol.data_received(segment)
            await turn()

    @property
    def answers(self):
        """Every final answer's status and body."""
        answers, rest = [], self.transport.written
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            status = int(head.split()[1])
            if status == 100:
                continue
            lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            length = int(lines.get(b"content-length", b"0"))
            answers.append((status, json.loads(rest[:length])))
            rest = rest[length:]
        return answers

    @property
    def is_refused(self):
        return self.protocol._ignores_input and (self.transport.closed or self.transport.ended)  # noqa: SLF001


async def turn():
    for _ in range(TURNS):
        await asyncio.sleep(0)


def run(scenario, **options):
    async def within():
        peer = Peer(**options)
        await scenario(peer)
        peer.protocol.connection_lost(None)
        return peer

    return asyncio.run(within())


def send(*segments, **options):
    return run(lambda peer: peer.send(*segments), **options)


def asked(method, path, body, *fields):
    """What is answered to a request."""
    return 200, [method, path, hashlib.sha256(body).hexdigest(), sorted(["host", *fields])]


def code_of(answer):
    return answer[0], answer[1]["code"]


def chunked(body, sizes, extension=b"", trailer=b""):
    chunks, at = [], 0
    for size in sizes:
        piece = body[at : at + size]
        at += size
        if piece:
            chunks.append(b"%x%b\r\n%b\r\n" % (len(piece), extension, piece))
    if body[at:]:
        chunks.append(b"%X\r\n%b\r\n" % (len(body[at:]), body[at:]))
    return b"".join([*chunks, b"0\r\n", trailer, b"\r\n"])


UPGRADES = {
    "java": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n",
    "curl": b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\nUpgrade: h2c\r\n",
    "websocket": b"Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\n",
    "twice": b"Upgrade: h2c\r\nUpgrade: foo/2\r\nConnection: UPGRADE\r\n",
}


@pytest.mark.parametrize("offer", UPGRADES.values(), ids=UPGRADES)
@pytest.mark.parametrize("framing", ["length", "chunks", "none"])
def test_an_upgrade_offer_is_ignored(offer, framing):
    body = b"" if framing == "none" else SMUGGLED
    fields = {"length": b"Content-Length: %d\r\n" % len(body), "chunks": b"Transfer-Encoding: chunked\r\n"}
    content = chunked(body, [5]) if framing == "chunks" else body
    request = b"POST /a HTTP/1.1\r\nHost: a\r\n" + offer + fields.get(framing, b"") + b"\r\n" + content
    following = b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n"
    for at in range(1, len(request + following)):
        answers = send((request + following)[:at], (request + following)[at:]).answers
        assert [answer[1][:3] for answer in answers] == [
            ["POST", "/a", hashlib.sha256(body).hexdigest()],
            ["GET", "/b", hashlib.sha256(b"").hexdigest()],
        ], at
        assert "upgrade" not in answers[0][1][3]


def draw_request(chance, number):
    """A request of any framing, and its answer."""
    path = f"/{number}"
    body = chance.choice([b"", b"x", SMUGGLED, SMUGGLED * 3, chance.randbytes(chance.randrange(300)), b"0\r\n\r\n"])
    lines = [f"Host: {chance.choice(['a', 'b.c:80', '[::1]'])}".encode()]
    if chance.random() < 0.3:
        lines.append(chance.choice(list(UPGRADES.values())).removesuffix(b"\r\n"))
    if chance.random() < 0.3:
        lines.append(b"Expect: 100-continue")
    if not body and chance.random() < 0.5:
        method, content = "GET", b""
    elif chance.random() < 0.5:
        method, content = "POST", body
        lines.append(b"Content-Length: %d" % len(body))
    else:
        extension = chance.choice([b"", b";a", b';a="b"'])
        trailer = chance.choice([b"", b"X-Late: y\r\n", b"Host: other\r\nX-Api-Key: z\r\n"])
        method, content = "PUT", chunked(body, [chance.randrange(1, 40) for _ in range(4)], extension, trailer)
        lines.append(chance.choice([b"Transfer-Encoding: chunked", b"transfer-encoding: Chunked"]))
    chance.shuffle(lines)
    head = b"\r\n".join([f"{method} {path} HTTP/1.1".encode(), *lines])
    return head + b"\r\n\r\n" + content, [method, path, hashlib.sha256(body).hexdigest()]


MALFORMED = [
    b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc",
    b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc",
    b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc",
    b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc",
    b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n 3\r\n\r\nabc",
    b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\nabc",
    b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nabc",
    b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nabc",
    b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n",
    b"GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /x HTTP/1.1\r\n\r\n",
    b"GET /x HTTP/1.1\nHost: a\n\n",
    b"GET /x y HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /x HTTP/9.9\r\nHost: a\r\n\r\n",
    b"GET \xff HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHo\0st: a\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]


def test_requests_are_separated_for_any_framing_and_segments():
    chance = random.Random(11)
    for _ in range(300):
        drawn = [draw_request(chance, number) for number in range(chance.randrange(1, 6))]
        stream, expected = b"".join(request for request, _ in drawn), [answer for _, answer in drawn]
        end = chance.choice([b"", *MALFORMED])
        cuts = sorted(chance.sample(range(1, len(stream)), chance.randrange(8)))
        segments = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        peer = send(*segments, end, SMUGGLED * bool(end))
        answers = peer.answers
        assert all(status == 200 for status, _ in answers[: len(expected)]), (segments, answers)
        assert [answer[1][:3] for answer in answers[: len(expected)]] == expected, stream
        assert [answer[0] for answer in answers[len(expected) :]] in ([], [400]), stream + end
        assert peer.is_refused == bool(end)


@pytest.mark.parametrize("request_", MALFORMED)
def test_a_malformed_request_is_rejected_once_and_the_connection_closed(request_):
    for segments in ([request_ + SMUGGLED], [request_, SMUGGLED], [request_[:20], request_[20:] + SMUGGLED]):
        peer = send(*segments)
        assert [code_of(answer) for answer in peer.answers] == [(400, "malformed_request")]
        assert peer.is_refused


def test_a_tunnel_is_rejected():
    peer = send(b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED)
    assert [code_of(answer) for answer in peer.answers] == [(405, "method_not_allowed")]
    assert peer.is_refused


def fields(count, size=1):
    return b"".join(b"X-%d: %b\r\n" % (number, b"y" * size) for number in range(count))


def get(lines, path=b"/"):
    return b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n"


def trailing(lines):
    return b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n" + lines + b"\r\n"


@pytest.mark.parametrize("segment", [1000, 65536, 1 << 20])
@pytest.mark.parametrize("place", [get, trailing], ids=["head", "trailer"])
@pytest.mark.parametrize(
    "lines",
    [
        fields(MAX_FIELDS + 1),
        fields(50_000),
        fields(90, 1000),
        b"X: " + b"y" * MAX_HEAD_BYTES + b"\r\n",
        b"X: " + b"y" * (1 << 21),
        b"x" * (1 << 21),
    ],
    ids=[
        "one field too many",
        "many fields",
        "large fields",
        "a long one",
        "one without end",
        "a name without end",
    ],
)
def test_headers_and_trailers_are_bounded(place, lines, segment):
    data = place(lines)
    peer = send(*[data[at : at + segment] for at in range(0, len(data), segment)])
    assert [code_of(answer) for answer in peer.answers] == [(431, "headers_too_large")]
    assert peer.is_refused


@pytest.mark.parametrize("place", [get, trailing], ids=["head", "trailer"])
def test_usual_headers_and_trailers_are_accepted(place):
    lines = fields(MAX_FIELDS - 2) + b"Cookie: " + b"y" * (MAX_HEAD_BYTES - 3000) + b"\r\n"
    assert [answer[0] for answer in send(place(lines), get(lines)).answers] == [200, 200]


def test_an_endless_url_is_rejected():
    assert code_of(send(get(b"", path=b"/" + b"a" * (1 << 20))).answers[0]) == (431, "headers_too_large")


def test_an_endless_chunk_extension_is_rejected():
    start = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;"
    assert code_of(send(start, b"x" * (1 << 20)).answers[0]) == (431, "headers_too_large")


def test_a_trailer_is_not_a_header():
    peer = send(trailing(b"X-Late: y\r\n") + get(b""))
    assert peer.answers == [asked("POST", "/", b"x", "transfer-encoding"), asked("GET", "/", b"")]


def test_pipelined_requests_are_bounded():
    peer = send(get(b"") * (MAX_PIPELINED + 1))
    assert [answer[0] for answer in peer.answers] == [200] * (MAX_PIPELINED + 1)
    peer = send(get(b"") * 5000)
    assert len(peer.answers) == MAX_PIPELINED + 1
    assert peer.is_refused


def after(seconds, monkeypatch, *names):
    for name in names:
        monkeypatch.setattr(protocol, name, seconds)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.01)


def test_a_silent_connection_is_closed_without_an_answer(monkeypatch):
    after(0.02, monkeypatch, "HEAD_TIMEOUT_SECONDS")
    peer = run(lambda peer: until(lambda: peer.transport.closed))
    assert peer.transport.written == b""


@pytest.mark.parametrize("before", [b"", get(b"")], ids=["the first request", "a later one"])
def test_headers_that_do_not_end_time_out(monkeypatch, before):
    after(0.05, monkeypatch, "HEAD_TIMEOUT_SECONDS", "CLOSE_TIMEOUT_SECONDS")

    async def trickle(peer):
        await peer.send(before, b"GET / HTTP/1.1\r\n")
        while not peer.transport.ended:
            await peer.send(b"X: y\r\n")
            await asyncio.sleep(0.01)
        await until(lambda: peer.transport.closed)

    answers = run(trickle).answers
    assert [answer[0] for answer in answers] == [200] * bool(before) + [408]
    assert code_of(answers[-1]) == (408, "request_timeout")


async def refuse(scope, receive, send):
    """Answer before the body has come."""
    await send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


def test_a_request_is_not_answered_twice():
    peer = send(trailing(fields(2))[:70], fields(5000), get(b""), app=refuse)
    assert peer.transport.written.count(b"HTTP/1.1 ") == 1
    assert peer.is_refused


def test_draining_a_rejected_body_times_out(monkeypatch):
    after(0.05, monkeypatch, "DRAIN_TIMEOUT_SECONDS")

    async def trickle(peer):
        await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        while not peer.transport.closed:
            await peer.send(b"x")
            await asyncio.sleep(0.01)

    run(trickle, app=refuse)


def test_a_client_that_reads_nothing_is_disconnected(monkeypatch):
    after(0.02, monkeypatch, "WRITE_TIMEOUT_SECONDS")

    async def stall(peer):
        await peer.send(get(b""))
        peer.protocol.pause_writing()
        await until(lambda: peer.transport.closed)

    run(stall)


def test_idle_connections_are_closed_for_new_ones_and_busy_ones_are_not():
    async def scenario():
        limiter, answer = ConnectionLimiter(3), asyncio.Event()

        async def wait(scope, receive, send):
            await answer.wait()
            await echo(scope, receive, send)

        silent, kept, busy = (Peer(wait, limiter) for _ in range(3))
        await busy.send(get(b""))
        newcomer = Peer(wait, limiter)
        assert (silent.transport.closed, kept.transport.closed) == (True, False)
        await newcomer.send(get(b""))
        await kept.send(get(b""))
        refused = Peer(wait, limiter)
        assert code_of(refused.answers[0]) == (503, "too_many_connections")
        answer.set()
        await turn()
        for peer in (kept, busy, newcomer):
            assert [answer[0] for answer in peer.answers] == [200]
        last = Peer(wait, limiter)
        assert not last.answers
        assert busy.transport.closed  # idle for the longest
        assert silent.transport.written == b""

    asyncio.run(scenario())


def test_rejected_bodies_are_drained_a_few_at_a_time():
    async def scenario():
        config = uvicorn.Config(refuse, http=protocol_for(ConnectionLimiter(100)), log_config=None, ws="none")
        config.load()
        limiter = [Peer(refuse, config=config) for _ in range(MAX_DRAINS + 2)]
        for peer in limiter:
            await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
            assert b"503" in peer.transport.written
        assert [peer.transport.paused for peer in limiter] == [False] * MAX_DRAINS + [True] * 2
        await limiter[0].send(b"x" * 10)
        assert [peer.transport.paused for peer in limiter[-2:]] == [False, True]
        limiter[1].protocol.connection_lost(None)
        assert [peer.transport.paused for peer in limiter[-2:]] == [False, False]

    asyncio.run(scenario())
