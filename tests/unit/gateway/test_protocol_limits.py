"""Limits on headers, trailers, pipelining, time and connections."""

import asyncio

import pytest
import uvicorn

from tests.unit.gateway.protocol_client import (
    Client,
    code_of,
    echo,
    echoed,
    fields,
    get,
    run,
    run_loop,
    send,
    trailing,
)
from thumbmill.gateway.http import protocol
from thumbmill.gateway.http.connections import ConnectionLimiter
from thumbmill.gateway.http.protocol import MAX_DRAINS, MAX_FIELDS, MAX_HEAD_BYTES, MAX_PIPELINED, protocol_for


@pytest.mark.parametrize("segment", [1000, 65536, 1 << 20])
@pytest.mark.parametrize("request_with", [get, trailing], ids=["head", "trailer"])
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
def test_headers_and_trailers_are_bounded(request_with, lines, segment):
    data = request_with(lines)
    client = send(*[data[at : at + segment] for at in range(0, len(data), segment)])
    assert [code_of(response) for response in client.responses] == [(431, "headers_too_large")]
    assert client.is_rejected


@pytest.mark.parametrize("request_with", [get, trailing], ids=["head", "trailer"])
def test_usual_headers_and_trailers_are_accepted(request_with):
    lines = fields(MAX_FIELDS - 2) + b"Cookie: " + b"y" * (MAX_HEAD_BYTES - 3000) + b"\r\n"
    assert [response[0] for response in send(request_with(lines), get(lines)).responses] == [200, 200]


def test_an_endless_url_is_rejected():
    assert code_of(send(get(b"", path=b"/" + b"a" * (1 << 20))).responses[0]) == (431, "headers_too_large")


def test_an_endless_chunk_extension_is_rejected():
    start = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;"
    assert code_of(send(start, b"x" * (1 << 20)).responses[0]) == (431, "headers_too_large")


def test_a_trailer_is_not_a_header():
    client = send(trailing(b"X-Late: y\r\n") + get(b""))
    assert client.responses == [echoed("POST", "/", b"x", "transfer-encoding"), echoed("GET", "/", b"")]


def test_pipelined_requests_are_bounded():
    client = send(get(b"") * (MAX_PIPELINED + 1))
    assert [response[0] for response in client.responses] == [200] * (MAX_PIPELINED + 1)
    client = send(get(b"") * 5000)
    assert len(client.responses) == MAX_PIPELINED + 1
    assert client.is_rejected


def after(seconds, monkeypatch, *names):
    for name in names:
        monkeypatch.setattr(protocol, name, seconds)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.01)


def test_a_silent_connection_is_closed_without_an_answer(monkeypatch):
    after(0.02, monkeypatch, "HEAD_TIMEOUT_SECONDS")
    client = run(lambda client: until(lambda: client.transport.closed))
    assert client.transport.written == b""


@pytest.mark.parametrize("before", [b"", get(b"")], ids=["the first request", "a later one"])
def test_headers_that_do_not_end_time_out(monkeypatch, before):
    after(0.05, monkeypatch, "HEAD_TIMEOUT_SECONDS", "CLOSE_TIMEOUT_SECONDS")

    async def trickle(client):
        await client.send(before, b"GET / HTTP/1.1\r\n")
        while not client.transport.ended:
            await client.send(b"X: y\r\n")
            await asyncio.sleep(0.01)
        await until(lambda: client.transport.closed)

    responses = run(trickle).responses
    assert [response[0] for response in responses] == [200] * bool(before) + [408]
    assert code_of(responses[-1]) == (408, "request_timeout")


async def reject(scope, receive, send):
    """Answer before the body was received."""
    await send({"type": "http.response.start", "status": 503, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body"})


def test_a_request_is_not_answered_twice():
    client = send(trailing(fields(2))[:70], fields(5000), get(b""), app=reject)
    assert client.transport.written.count(b"HTTP/1.1 ") == 1
    assert client.is_rejected


def test_draining_a_rejected_body_times_out(monkeypatch):
    after(0.05, monkeypatch, "DRAIN_TIMEOUT_SECONDS")

    async def trickle(client):
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        while not client.transport.closed:
            await client.send(b"x")
            await asyncio.sleep(0.01)

    run(trickle, app=reject)


def test_a_client_that_reads_nothing_is_disconnected(monkeypatch):
    after(0.02, monkeypatch, "WRITE_TIMEOUT_SECONDS")

    async def stall(client):
        await client.send(get(b""))
        client.protocol.pause_writing()
        await until(lambda: client.transport.closed)

    run(stall)


def test_idle_connections_are_closed_for_new_ones_and_busy_ones_are_not():
    async def scenario():
        limiter, response = ConnectionLimiter(3), asyncio.Event()

        async def wait(scope, receive, send):
            await response.wait()
            await echo(scope, receive, send)

        silent, kept, busy = (Client(wait, limiter) for _ in range(3))
        await busy.send(get(b""))
        newcomer = Client(wait, limiter)
        assert (silent.transport.closed, kept.transport.closed) == (True, False)
        await newcomer.send(get(b""))
        await kept.send(get(b""))
        rejected = Client(wait, limiter)
        assert code_of(rejected.responses[0]) == (503, "too_many_connections")
        response.set()
        await run_loop()
        for client in (kept, busy, newcomer):
            assert [response[0] for response in client.responses] == [200]
        last = Client(wait, limiter)
        assert not last.responses
        assert busy.transport.closed  # idle for the longest
        assert silent.transport.written == b""

    asyncio.run(scenario())


def test_rejected_bodies_are_drained_a_few_at_a_time():
    async def scenario():
        config = uvicorn.Config(reject, http=protocol_for(ConnectionLimiter(100)), log_config=None, ws="none")
        config.load()
        limiter = [Client(reject, config=config) for _ in range(MAX_DRAINS + 2)]
        for client in limiter:
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
            assert b"503" in client.transport.written
        assert [client.transport.paused for client in limiter] == [False] * MAX_DRAINS + [True] * 2
        await limiter[0].send(b"x" * 10)
        assert [client.transport.paused for client in limiter[-2:]] == [False, True]
        limiter[1].protocol.connection_lost(None)
        assert [client.transport.paused for client in limiter[-2:]] == [False, False]

    asyncio.run(scenario())
