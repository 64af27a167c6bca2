"""Whether a server answers in its own language."""

import http.client
import socket
import subprocess
from collections.abc import Sequence

_PATIENCE_SECONDS = 2.0


def answers_http(port: int, path: str) -> bool:
    """Tell whether a GET on loopback is answered with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def answers_amqp(port: int) -> bool:
    """Tell whether a broker offers to start a connection: RabbitMQ listens when its definitions are loaded."""
    try:
        with socket.create_connection(("127.0.0.1", port), _PATIENCE_SECONDS) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"  # a method frame: connection.start
    except OSError:
        return False


def answers_epmd(port: int) -> bool:
    """Tell whether epmd lists its names (request 110 of the Erlang distribution protocol)."""
    try:
        with socket.create_connection(("127.0.0.1", port), _PATIENCE_SECONDS) as connection:
            connection.sendall(b"\x00\x01n")
            return len(connection.recv(4)) == 4
    except OSError:
        return False


def succeeds(command: Sequence[str]) -> bool:
    """Tell whether the command exits with 0."""
    try:
        return subprocess.run(command, check=False, capture_output=True, timeout=_PATIENCE_SECONDS).returncode == 0
    except subprocess.TimeoutExpired:
        return False
