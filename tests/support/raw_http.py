"""HTTP as bytes on a socket, for requests that no client library would send."""

import json
import socket
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Response:
    """One response; ``code`` is that of a problem, or None."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self):
        if not self.headers.get("content-type", "").startswith("application/problem+json"):
            return None
        return json.loads(self.body)["code"]


class RawClient:
    """One connection to the gateway."""

    def __init__(self, system, *, timeout=30):
        self.socket = socket.create_connection(("127.0.0.1", system.ports["GATEWAY_PORT"]), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._input = self.socket.makefile("rb")

    def send(self, data):
        """Send; ignore that the gateway has closed the connection, for its response gives the reason."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def read_response(self):
        """Read one final response; None if the connection was closed instead."""
        try:
            line = self._input.readline()
        except ConnectionResetError:
            return None
        if not line:
            return None
        status, headers = int(line.split()[1]), {}
        while (line := self._input.readline()) not in {b"\r\n", b""}:
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if status < 200:
            return self.read_response()
        return Response(status, headers, self._input.read(int(headers.get("content-length", "0"))))

    def read_responses(self):
        """Read every response until the connection is closed."""
        return list(iter(self.read_response, None))

    def close(self):
        self._input.close()
        self.socket.close()


@contextmanager
def connected(system, **options):
    """Open a connection to the gateway for a while."""
    client = RawClient(system, **options)
    try:
        yield client
    finally:
        client.close()
