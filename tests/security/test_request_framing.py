"""Request framing: nothing inside a body is ever handled as a request."""

import json
import random
import threading
import uuid

import pytest

from tests.support.raw_http import connected

SMUGGLED = b"DELETE /smuggled HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
UPGRADES = {
    "java": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n",
    "curl": b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\nUpgrade: h2c\r\n",
    "websocket": b"Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
}
_GAP = threading.Event()  # never set


def request(method, path, fields=b"", body=b""):
    return f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n".encode() + fields + b"\r\n" + body


def with_length(body):
    return b"Content-Length: %d\r\n" % len(body)


def send_in_segments(client, data, chance, most=6):
    cuts = sorted(chance.sample(range(1, len(data)), min(chance.randrange(most), len(data) - 1)))
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        client.send(data[start:end])
        _GAP.wait(0.001)  # so that most segments arrive separately


JSON = b"Content-Type: application/json\r\n"
ROUTES = {
    "upload": (
        "POST",
        "/api/v1/images",
        b"Content-Type: image/jpeg\r\n",
        SMUGGLED * 3,
        (415, "unsupported_format"),
    ),
    "older upload": (
        "POST",
        "/upload-image/",
        b"Content-Type: image/png\r\n",
        SMUGGLED,
        (400, "unsupported_format"),
    ),
    "ticket": ("POST", "/api/v1/uploads", JSON, b'{"content_type": 5}', (422, "invalid_request")),
    "delete": ("DELETE", f"/api/v1/images/{uuid.UUID(int=4, version=4)}", b"", SMUGGLED, (404, "image_not_found")),
    "list": ("GET", "/api/v1/images?limit=0", b"", SMUGGLED, (422, "invalid_request")),
    "nothing": ("POST", "/nothing", b"", SMUGGLED, (404, "not_found")),
}


@pytest.mark.parametrize("offer", UPGRADES.values(), ids=UPGRADES)
@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
def test_an_upgrade_offer_is_ignored(system, offer, route):
    method, path, fields, body, expected = route
    whole = request(method, path, fields + offer + with_length(body), body)
    head = whole.removesuffix(body)
    for segments in ([whole], [head, body], [head + body[:3], body[3:]]):
        with connected(system) as client:
            for segment in segments:
                client.send(segment)
                _GAP.wait(0.02)  # a segment of its own
            client.send(request("GET", "/health", b"Connection: close\r\n"))
            answers = [(answer.status, answer.code) for answer in client.read_responses()]
        assert answers == [expected, (200, None)]


def test_a_request_of_java_s_client_is_accepted(system):
    body = json.dumps({"content_type": "image/jpeg", "file_name": "java.jpg"}).encode()
    with connected(system) as client:
        client.send(request("POST", "/api/v1/uploads", JSON + UPGRADES["java"] + with_length(body)))
        client.send(body)
        assert client.read_response().status == 201


def chunked(body, chance):
    chunks, at = [], 0
    while at < len(body):
        size = chance.randrange(1, 60)
        piece = body[at : at + size]
        chunks.append(b"%x%b\r\n%b\r\n" % (len(piece), chance.choice([b"", b";a=b"]), piece))
        at += size
    return b"".join([*chunks, b"0\r\n", chance.choice([b"", b"X-Late: y\r\n"]), b"\r\n"])


def draw(chance):
    """Return a request and its response."""
    fields = chance.choice([b"", *UPGRADES.values()])
    match chance.randrange(4):
        case 0:
            return request("GET", "/health", fields), (200, None)
        case 1:
            body = SMUGGLED * chance.randrange(1, 3)
            return request("GET", "/nothing", fields + with_length(body), body), (404, "not_found")
        case 2:
            body = chance.choice([SMUGGLED, b"0\r\n\r\n" + SMUGGLED * 4, b"x"])
            fields += b"Content-Type: image/jpeg\r\n" + chance.choice([b"", b"Expect: 100-continue\r\n"])
            return request("POST", "/api/v1/images", fields + with_length(body), body), (415, "unsupported_format")
        case _:
            body = chance.choice([SMUGGLED, SMUGGLED * 4, b"0\r\n\r\n"])
            fields += b"Content-Type: image/jpeg\r\nTransfer-Encoding: chunked\r\n"
            return request("POST", "/api/v1/images", fields, chunked(body, chance)), (415, "unsupported_format")


MALFORMED = [
    request("POST", "/x", b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    request("POST", "/x", b"Content-Length: 3\r\nContent-Length: 4\r\n", b"abcd"),
    request("POST", "/x", b"Content-Length: +3\r\n", b"abc"),
    request("POST", "/x", b"Content-Length : 3\r\n", b"abc"),
    request("POST", "/x", b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
    request("POST", "/x", b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"),
    request("GET", "/x", b"Host: other\r\n"),
    request("GET", "/x", b" Folded: y\r\n"),
    b"GET /x HTTP/1.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


def test_a_hundred_exchanges_of_every_framing(system):
    chance = random.Random(7)
    for _ in range(100):
        drawn = [draw(chance) for _ in range(chance.randrange(1, 6))]
        end = chance.choice(MALFORMED)
        data = b"".join(one for one, _ in drawn)
        with connected(system) as client:
            send_in_segments(client, data, chance)
            answers = [client.read_response() for _ in drawn]
            assert [(answer.status, answer.code) for answer in answers] == [answer for _, answer in drawn], data
            client.send(end + SMUGGLED)
            last = client.read_responses()
        assert [(answer.status, answer.code) for answer in last] == [(400, "malformed_request")], end
