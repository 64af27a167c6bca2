"""Another process of a service, in addition to the system's own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from devstack.ports import free_ports
from devstack.probes import answers_http
from tests.support.system import System
from tests.support.waiting import wait_until

PORT = "ANOTHER_HEALTH_PORT"  # the name of its admin port among the system's


@contextmanager
def another(system: System, name: str, **changes: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run another process for a while; it is ready when the block begins."""
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
