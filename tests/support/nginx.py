"""nginx, as it is installed, in front of the gateway."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.services import free_port
from tests.support.waiting import wait_until

PROGRAM = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
_CONFIGURATION = """
daemon off;
user root; # else root's nginx would work as another user, who may not use the directory
pid nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    {block}
}}
"""


@contextmanager
def run_nginx(directory: Path, block: str) -> Iterator[int]:
    """Run nginx with a block ``http``, which listens on ``PORT``; yield the port, which leads to the gateway."""
    port = int(free_port())
    assert "PORT" in block
    configuration = _CONFIGURATION.format(block=block.replace("PORT", str(port)))
    (directory / "nginx.conf").write_text(configuration, encoding="utf-8")
    with (directory / "log").open("wb") as log:
        command = [PROGRAM, "-p", directory, "-c", "nginx.conf", "-e", "stderr"]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_until(lambda: _is_ready(process, port), 30, f"nginx in {directory}")
            yield port
        finally:
            process.terminate()
            process.wait(30)


def _is_ready(process: "subprocess.Popen[bytes]", port: int) -> bool:
    assert process.poll() is None, "nginx has ended: see its log"
    try:
        return httpx.get(f"http://127.0.0.1:{port}/livez").status_code == 200
    except httpx.TransportError:
        return False
