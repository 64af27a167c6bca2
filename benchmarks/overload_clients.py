"""Clients of the overloaded gateway: minimal, since they share its cores."""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

_HEAD_END = b"\r\n\r\n"


@dataclass
class Tally:
    """The outcomes of one kind of request."""

    seconds: list[float] = field(default_factory=list)  # of each response
    statuses: Counter[str] = field(default_factory=Counter)  # HTTP statuses, and names of faults

    def add(self, status: str, seconds: float) -> None:
        self.statuses[status] += 1
        self.seconds.append(seconds)


class Client:
    """One persistent connection, opened again after the gateway has closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(self, request: bytes) -> tuple[int, float]:
        """Send a request. Return the status and the Retry-After of the response. Raise OSError."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        try:
            writer.write(request)
            with suppress(ConnectionError):  # it may have been rejected; the response has the reason
                await writer.drain()
            head = (await reader.readuntil(_HEAD_END)).lower()
            await reader.readexactly(int(_field(head, b"content-length") or 0))
        except asyncio.IncompleteReadError as error:
            self.close()
            raise ConnectionError("closed") from error
        except OSError:
            self.close()
            raise
        if _field(head, b"connection") == b"close":
            self.close()
        return int(head.split()[1]), float(_field(head, b"retry-after") or 1)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    fields = f"Content-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
    return f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}".encode() + body


async def poll(port: int, path: str, tally: Tally, stop: asyncio.Event, *, every: float, after: float) -> None:
    """Poll one image's status; start after a delay, so that pollers are spread over time."""
    client, request = Client(port), get(path)
    await _pause(stop, after)
    while not stop.is_set():
        started = time.perf_counter()
        try:
            status, _ = await client.send(request)
            tally.add(str(status), time.perf_counter() - started)
        except OSError as error:
            tally.add(type(error).__name__, time.perf_counter() - started)
        await _pause(stop, every)
    client.close()


async def upload(port: int, body: bytes, accepted: Tally, rejected: Tally) -> None:
    """Upload one image, and retry after the response's Retry-After until it is accepted."""
    client, request = Client(port), post("/api/v1/images", body)
    started = time.perf_counter()
    while True:
        sent = time.perf_counter()
        try:
            status, pause = await client.send(request)
        except OSError as error:
            status, pause = 0, 1.0
            rejected.add(type(error).__name__, time.perf_counter() - sent)
        else:
            if status == 202:
                break
            rejected.add(str(status), time.perf_counter() - sent)
        await asyncio.sleep(pause)
    accepted.add("202", time.perf_counter() - started)
    client.close()


def _field(head: bytes, name: bytes) -> bytes:
    _, found, rest = head.partition(b"\r\n" + name + b":")
    return rest.partition(b"\r\n")[0].strip() if found else b""


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
