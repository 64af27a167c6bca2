"""How requests are separated on a connection, and which are rejected."""

import hashlib
import random

import pytest

from tests.unit.gateway.protocol_client import SMUGGLED, chunked, code_of, send

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
        responses = send((request + following)[:at], (request + following)[at:]).responses
        assert [response[1][:3] for response in responses] == [
            ["POST", "/a", hashlib.sha256(body).hexdigest()],
            ["GET", "/b", hashlib.sha256(b"").hexdigest()],
        ], at
        assert "upgrade" not in responses[0][1][3]


def random_request(rng, number):
    """Return a random request with any framing, and its response."""
    path = f"/{number}"
    body = rng.choice([b"", b"x", SMUGGLED, SMUGGLED * 3, rng.randbytes(rng.randrange(300)), b"0\r\n\r\n"])
    lines = [f"Host: {rng.choice(['a', 'b.c:80', '[::1]'])}".encode()]
    if rng.random() < 0.3:
        lines.append(rng.choice(list(UPGRADES.values())).removesuffix(b"\r\n"))
    if rng.random() < 0.3:
        lines.append(b"Expect: 100-continue")
    if not body and rng.random() < 0.5:
        method, content = "GET", b""
    elif rng.random() < 0.5:
        method, content = "POST", body
        lines.append(b"Content-Length: %d" % len(body))
    else:
        extension = rng.choice([b"", b";a", b';a="b"'])
        trailer = rng.choice([b"", b"X-Late: y\r\n", b"Host: other\r\nX-Api-Key: z\r\n"])
        method, content = "PUT", chunked(body, [rng.randrange(1, 40) for _ in range(4)], extension, trailer)
        lines.append(rng.choice([b"Transfer-Encoding: chunked", b"transfer-encoding: Chunked"]))
    rng.shuffle(lines)
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
    rng = random.Random(11)
    for _ in range(300):
        requests = [random_request(rng, number) for number in range(rng.randrange(1, 6))]
        stream, expected = b"".join(request for request, _ in requests), [response for _, response in requests]
        end = rng.choice([b"", *MALFORMED])
        cuts = sorted(rng.sample(range(1, len(stream)), rng.randrange(8)))
        segments = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        client = send(*segments, end, SMUGGLED * bool(end))
        responses = client.responses
        assert all(status == 200 for status, _ in responses[: len(expected)]), (segments, responses)
        assert [response[1][:3] for response in responses[: len(expected)]] == expected, stream
        assert [response[0] for response in responses[len(expected) :]] in ([], [400]), stream + end
        assert client.is_rejected == bool(end)


@pytest.mark.parametrize("request_", MALFORMED)
def test_a_malformed_request_is_rejected_once_and_the_connection_closed(request_):
    for segments in ([request_ + SMUGGLED], [request_, SMUGGLED], [request_[:20], request_[20:] + SMUGGLED]):
        client = send(*segments)
        assert [code_of(response) for response in client.responses] == [(400, "malformed_request")]
        assert client.is_rejected


def test_a_tunnel_is_rejected():
    client = send(b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED)
    assert [code_of(response) for response in client.responses] == [(405, "method_not_allowed")]
    assert client.is_rejected
