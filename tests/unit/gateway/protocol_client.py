"""A client of the HTTP protocol without a socket, and the requests that it sends."""

import asyncio
import hashlib
import json

import uvicorn
from uvicorn.server import ServerState

from thumbmill.gateway.http.connections import ConnectionLimiter
from thumbmill.gateway.http.protocol import protocol_for

LOOP_ITERATIONS = 60  # of the event loop: more than any response needs
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


async def echo(scope, receive, send):
    """Answer with a description of the request after its body was received."""
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


class Client:
    """The client side of one connection."""

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
            await run_loop()

    @property
    def responses(self):
        """Status and body of every final response."""
        responses, rest = [], self.transport.written
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            status = int(head.split()[1])
            if status == 100:
                continue
            lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            length = int(lines.get(b"content-length", b"0"))
            responses.append((status, json.loads(rest[:length])))
            rest = rest[length:]
        return responses

    @property
    def is_rejected(self):
        return self.protocol._ignores_input and (self.transport.closed or self.transport.ended)  # noqa: SLF001


async def run_loop():
    for _ in range(LOOP_ITERATIONS):
        await asyncio.sleep(0)


def run(scenario, **options):
    async def within():
        client = Client(**options)
        await scenario(client)
        client.protocol.connection_lost(None)
        return client

    return asyncio.run(within())


def send(*segments, **options):
    return run(lambda client: client.send(*segments), **options)


def echoed(method, path, body, *fields):
    """Return the response of ``echo`` to a request."""
    return 200, [method, path, hashlib.sha256(body).hexdigest(), sorted(["host", *fields])]


def code_of(response):
    return response[0], response[1]["code"]


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


def fields(count, size=1):
    return b"".join(b"X-%d: %b\r\n" % (number, b"y" * size) for number in range(count))


def get(lines, path=b"/"):
    return b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n"


def trailing(lines):
    return b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n" + lines + b"\r\n"
