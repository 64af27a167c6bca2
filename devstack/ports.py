"""The ports, and the environment variables that change them."""

import os
import random
import socket
from collections.abc import Mapping

from devstack.errors import LaunchError

DEFAULTS: dict[str, int] = {
    "GATEWAY_PORT": 8000,
    "THUMBNAILER_HEALTH_PORT": 8001,
    "STATUS_TRACKER_HEALTH_PORT": 8002,
    "MINIO_PORT": 9000,
    "MINIO_CONSOLE_PORT": 9001,
    "RABBITMQ_PORT": 5672,
    "RABBITMQ_MANAGEMENT_PORT": 15672,
    "RABBITMQ_METRICS_PORT": 15692,
    "RABBITMQ_DIST_PORT": 25672,
    "EPMD_PORT": 4370,  # Erlang's default, 4369, belongs to a RabbitMQ of the operating system
    "POSTGRES_PORT": 55432,
}

OFFSET = "PORT_OFFSET"  # is added to every default port, for a second installation on the same machine

# Below Linux's ephemeral ports (32768 up): a server that is stopped and started again gets its port back.
_TEST_PORTS = range(20000, 32000)


def ports_from(environment: Mapping[str, str]) -> dict[str, int]:
    """Return every port: the value of its variable, or its default plus PORT_OFFSET.

    Raise LaunchError for an invalid port and for a duplicate.
    """
    offset = _read_offset(environment)
    ports: dict[str, int] = {}
    owners: dict[int, str] = {}
    for variable, default in DEFAULTS.items():
        text = environment.get(variable, "") or str(default + offset)
        if not text.isdecimal() or not 1 <= int(text) <= 65535:
            raise LaunchError(f"{variable}={text} is not a valid port: set it to a number from 1 to 65535")
        ports[variable] = int(text)
        other = owners.setdefault(int(text), variable)
        if other != variable:
            raise LaunchError(f"{other} and {variable} are both {text}: set one of them to another port")
    return ports


def free_ports() -> dict[str, int]:
    """Return ports that are free now, for tests that run at the same time as `up`.

    Each pytest-xdist worker has its own share of ports, since the port of a server that is stopped looks free.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = _TEST_PORTS[worker :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    candidates = random.sample(share, len(share))
    return {variable: next(port for port in iter(candidates.pop, None) if _is_free(port)) for variable in DEFAULTS}


def require_free(ports: Mapping[str, int]) -> None:
    """Raise a LaunchError that lists all ports in use, each with the variable that changes it."""
    taken = [
        f"  {port:>5}  set {variable} to another port" for variable, port in ports.items() if not _is_free(port)
    ]
    if taken:
        heading = f"ports in use on 127.0.0.1 (is another `make up` running?). Set {OFFSET}=100 to move all, or:"
        raise LaunchError("\n".join([heading, *taken]))


def _read_offset(environment: Mapping[str, str]) -> int:
    text = environment.get(OFFSET, "") or "0"
    most = 65535 - max(DEFAULTS.values())
    if not text.isdecimal() or int(text) > most:
        raise LaunchError(
            f"{OFFSET}={text} is not valid: set it to a number from 0 to {most}; it is added to every default port"
        )
    return int(text)


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # ignore closed connections in TIME_WAIT
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
