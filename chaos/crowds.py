"""Additional clients of the gateway: a crowd of ordinary ones, and a hostile one."""

import hashlib
import random
import socket
import struct
import threading
import zlib
from collections.abc import Callable
from contextlib import ExitStack, suppress
from urllib.parse import urlsplit

import httpx

from thumbmill.cli.drill import fingerprint_image
from thumbmill.cli.drill.clients import Access, Clients, post_image
from thumbmill.cli.drill.history import Content, History, Operation, TrackedKey

UPLOADERS = 24
POLLERS = 60
SILENT_CONNECTIONS = 300
SLOW_SENDERS = 24  # one byte at a time: fewer than the gateway's upload slots
_TIMEOUT_SECONDS = 30.0


def overload(access: Access, history: History, seed: int, pause: Callable[[], None]) -> None:
    """Upload with many clients and poll statuses with many more, all without a pause, until `pause` returns."""
    uploaders = Clients(access, history, seed, folder=f"drill/crowd-{seed}", pause_seconds=0.0)
    stop = threading.Event()
    pollers = [threading.Thread(target=_poll, args=(access, history, stop), daemon=True) for _ in range(POLLERS)]
    uploading = uploaders.start(UPLOADERS)
    for poller in pollers:
        poller.start()
    try:
        pause()
    finally:
        stop.set()
        uploaders.stop.set()
    for thread in (*uploading, *pollers):
        thread.join(_TIMEOUT_SECONDS)


def _poll(access: Access, history: History, stop: threading.Event) -> None:
    rng = random.Random()
    with access.http() as http:
        while not stop.is_set():
            known = [tracked.image_id for tracked in history if tracked.image_id]
            path = f"/api/v1/images/{rng.choice(known)}" if known else "/readyz"
            with suppress(httpx.HTTPError):
                http.get(path)


def attack(access: Access, history: History, pause: Callable[[], None]) -> None:
    """Hold connections and upload slots, send malformed requests and upload bombs, until `pause` returns."""
    address = urlsplit(access.gateway)
    target = (address.hostname or "", address.port or 80)
    with ExitStack() as connections:
        for _ in range(SILENT_CONNECTIONS):
            _open(target, b"", connections)
        for _ in range(SLOW_SENDERS):
            _open(
                target, _POST + b"Content-Type: image/jpeg\r\nContent-Length: 999999\r\n\r\n\xff\xd8", connections
            )
        for request in _REQUESTS:
            _open(target, request, connections)
        with access.http() as http:
            for bomb in (_gif_bomb(), _png_bomb(), fingerprint_image.truncate(fingerprint_image.render(0))):
                content = Content(0, hashlib.sha256(bomb).hexdigest(), bad=True)
                tracked = history.add(TrackedKey("post"))
                tracked.operations.append(Operation(content, post_image(http, tracked, bomb)))
        pause()


def _open(target: tuple[str, int], data: bytes, connections: ExitStack) -> None:
    """Connect and send without reading the response. The gateway may refuse the connection."""
    with suppress(OSError):
        connection = connections.enter_context(socket.create_connection(target, timeout=_TIMEOUT_SECONDS))
        connection.sendall(data)


_POST = b"POST /api/v1/images HTTP/1.1\r\nHost: 127.0.0.1\r\n"
_REQUESTS = (
    b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"".join(b"x-%d: y\r\n" % number for number in range(100_000)),
    b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nx: " + b"y" * 4_000_000,
    _POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    _POST + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nxyzGET /livez HTTP/1.1\r\n\r\n",
    _POST + b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 4000000\r\n\r\n"
    + b"--b\r\n\r\n\r\n" * 400_000,
    b"\x16\x03\x01\x02\x00\x01" + bytes(range(256)),
)  # fmt: skip


def _gif_bomb() -> bytes:
    """Return a GIF of 49 bytes whose first frame claims 65535 x 65535 pixels."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 10, 10, 0x80, 0, 0) + bytes(6)
    return screen + b"\x2c" + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x4c\x01\x00\x3b"


def _png_bomb() -> bytes:
    """Return a small PNG that claims 65535 x 65535 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 65535, 65535, 8, 6, 0, 0, 0)
    rows = zlib.compress(bytes(1_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
