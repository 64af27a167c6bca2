"""Live connections to a gateway: raw streams, and a second gateway for them."""

import socket
import subprocess
from contextlib import contextmanager, suppress

from devstack.probes import answers_http
from tests.support.services import free_port
from tests.support.sse import parse_events
from tests.support.waiting import wait_until

SECONDS = 30  # for what takes milliseconds


class Stream:
    """A raw connection with one stream, which reads nothing unless asked."""

    def __init__(self, port, path="/api/v1/stream", *, buffer=None, **headers):
        self.content = bytearray()
        self.is_open = True
        self._socket = socket.socket()
        if buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._socket.settimeout(SECONDS)
        try:
            self._socket.connect(("127.0.0.1", port))
        except OSError:
            self._socket.close()
            raise
        fields = {"Host": f"127.0.0.1:{port}", **headers}
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def limit(self, seconds):
        """Raise TimeoutError where nothing arrives for this long."""
        self._socket.settimeout(seconds)

    def read(self):
        """Read what has arrived, at least a byte, or the end."""
        data = b""
        with suppress(ConnectionResetError):
            data = self._socket.recv(65536)
        self.is_open = bool(data)
        self.content += data

    def read_until(self, is_enough):
        while self.is_open and not is_enough(self):
            self.read()
        return self

    def close(self):
        self._socket.close()

    @property
    def head(self):
        return self.content.partition(b"\r\n\r\n")[0].decode()

    @property
    def body(self):
        """The body, without the framing of its chunks, of which the last may be incomplete."""
        rest, body = self.content.partition(b"\r\n\r\n")[2], b""
        while b"\r\n" in rest:
            size, _, rest = rest.partition(b"\r\n")
            body, rest = body + rest[: int(size, 16)], rest[int(size, 16) + 2 :]
        return body

    @property
    def has_ended(self):
        """Whether the gateway has ended the body, rather than broken the connection."""
        return self.content.endswith(b"\r\n0\r\n\r\n")

    @property
    def events(self):
        return parse_events(self.body)

    @property
    def changes(self):
        return [event for event in self.events if event.type.startswith("image.")]


def wait_changes(stream, count):
    stream.read_until(lambda one: len(one.changes) >= count)
    return stream.changes


def metric(client, name):
    lines = client.get("/metrics").text.splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0)


@contextmanager
def second_gateway(system, **changes):
    """Run another gateway for a while; yield its port."""
    process, port = system.stack.table["gateway"], free_port()
    settings = {**process.environment, "GATEWAY_PORT": port, **changes}
    with system.stack.log_path("second-gateway").open("ab") as output:
        second = subprocess.Popen(
            process.command, env=settings, cwd=process.directory, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_until(lambda: answers_http(int(port), "/readyz"), 60, "a second gateway")
        yield int(port)
    finally:
        second.terminate()
        second.wait(40)
