"""One more of a service's processes, beside the one that the system has."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from devstack.ports import free_ports
from devstack.probes import answers_http
from tests.support.system import System
from tests.support.waiting import wait_until

PORT = "ANOTHER_HEALTH_PORT"  # under this name its side port is among the system's


@contextmanager
def another(system: System, name: str, **changes: str) -> Iterator[subprocess.Popen[bytes]]:
    """Have another one for a while, that serves when the block begins."""
    process, log = system.stack.table[name], f"another-{name}"
    port = free_ports()["THUMBNAILER_HEALTH_PORT"]
    settings = {**process.environment, "HEALTH_PORT": str(port), **changes}
    with system.stack.log_path(log).open("ab") as output:
        second = subprocess.Popen(
            process.command, env=settings, cwd=process.directory, stdout=output, stderr=subprocess.STDOUT
        )
    system.ports[PORT] = port
    try:
        wait_until(lambda: second.poll() is not None or answers_http(port, "/readyz"), 60, f"another {name}")
        assert second.poll() is None, system.stack.log_tail(log)
        yield second
    finally:
        second.terminate()
        second.wait(40)
        del system.ports[PORT]
