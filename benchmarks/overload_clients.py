"""Clients of an overloaded gateway: as light as they can be, since they share its cores."""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

_HEAD_END = b"\r\n\r\n"


@dataclass
class Tally:
    """What became of requests of one kind."""

    seconds: list[float] = field(default_factory=list)  # each answer's delay
    statuses: Counter[str] = field(default_factory=Counter)  # HTTP statuses, and names of faults

    def note(self, status: str, seconds: float) -> None:
        self.statuses[status] += 1
        self.seconds.append(seconds)


class Client:
    """One kept connection; it connects anew where the gateway closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> tuple[int, float]:
        """Send a request and read its answer; give its status and what Retry-After says. Raises OSError."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        try:
            writer.write(request)
            with suppress(ConnectionError):  # it may have been refused, and then the answer says why
                await writer.drain()
            head = (await reader.readuntil(_HEAD_END)).lower()
            await reader.readexactly(int(_field(head, b"content-length") or 0))
        except asyncio.IncompleteReadError as fault:
            self.close()
            raise ConnectionError("closed") from fault
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


async def poll(port: int, path: str, tally: Tally, over: asyncio.Event, *, every: float, after: float) -> None:
    """Ask for one image's status again and again, first after a while, so that pollers are spread over time."""
    client, request = Client(port), get(path)
    await _pause(over, after)
    while not over.is_set():
        began = time.perf_counter()
        try:
            status, _ = await client.ask(request)
            tally.note(str(status), time.perf_counter() - began)
        except OSError as fault:
            tally.note(type(fault).__name__, time.perf_counter() - began)
        await _pause(over, every)
    client.close()


async def upload(port: int, body: bytes, accepted: Tally, refused: Tally) -> None:
    """Send one picture until it is taken, each time after as long as the refusal says."""
    client, request = Client(port), post("/api/v1/images", body)
    began = time.perf_counter()
    while True:
        tried = time.perf_counter()
        try:
            status, pause = await client.ask(request)
        except OSError as fault:
            status, pause = 0, 1.0
            refused.note(type(fault).__name__, time.perf_counter() - tried)
        else:
            if status == 202:
                break
            refused.note(str(status), time.perf_counter() - tried)
        await asyncio.sleep(pause)
    accepted.note("202", time.perf_counter() - began)
    client.close()


def _field(head: bytes, name: bytes) -> bytes:
    _, found, rest = head.partition(b"\r\n" + name + b":")
    return rest.partition(b"\r\n")[0].strip() if found else b""


async def _pause(over: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)
