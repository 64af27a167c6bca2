"""Readiness probes, each in its server's protocol."""

import http.client
import socket
import subprocess
from collections.abc import Sequence

_TIMEOUT_SECONDS = 2.0


def answers_http(port: int, path: str) -> bool:
    """Return whether a GET on loopback returns 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def answers_amqp(port: int) -> bool:
    """Return whether a broker starts a connection. RabbitMQ does so once its definitions are loaded."""
    try:
        with socket.create_connection(("127.0.0.1", port), _TIMEOUT_SECONDS) as connection:
            connection.sendall(b"AMQP\x00\x00\x09\x01")
            return connection.recv(1) == b"\x01"  # a method frame: connection.start
    except OSError:
        return False


def answers_epmd(port: int) -> bool:
    """Return whether epmd lists its names (request 110 of the Erlang distribution protocol)."""
    try:
        with socket.create_connection(("127.0.0.1", port), _TIMEOUT_SECONDS) as connection:
            connection.sendall(b"\x00\x01n")
            return len(connection.recv(4)) == 4
    except OSError:
        return False


def succeeds(command: Sequence[str]) -> bool:
    """Return whether the command exits with 0."""
    try:
        return subprocess.run(command, check=False, capture_output=True, timeout=_TIMEOUT_SECONDS).returncode == 0
    except subprocess.TimeoutExpired:
        return False
