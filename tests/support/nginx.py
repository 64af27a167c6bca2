"""nginx as a shared cache in front of the gateway, configured by the block of the how-to page."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.services import free_port
from tests.support.waiting import wait_until

PROGRAM = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "put-a-cdn-in-front.md"
_HEAD = """\
daemon off;
pid nginx.pid;
error_log stderr;
events {}
http {
access_log off;
client_body_temp_path body;
proxy_temp_path proxy;
fastcgi_temp_path fastcgi;
uwsgi_temp_path uwsgi;
scgi_temp_path scgi;
"""


@contextmanager
def run_nginx(directory: Path, gateway: str) -> Iterator[str]:
    """Run the documented configuration; yield its URL."""
    port = free_port()
    documented = PAGE.read_text().partition("```nginx\n")[2].partition("```")[0]
    replaced = {
        "/var/cache/nginx/thumbmill": str(directory / "cache"),
        "listen 80;": f"listen 127.0.0.1:{port};",
        "http://127.0.0.1:8000": gateway,
    }
    for written, used in replaced.items():
        assert written in documented, written
        documented = documented.replace(written, used)
    (directory / "nginx.conf").write_text(f"{_HEAD}{documented}}}\n")
    # Root's nginx would change to an account that may not read the directory.
    command = [PROGRAM, "-p", directory, "-c", "nginx.conf", "-g", "user root;"]
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            wait_until(lambda: _answers(process, f"http://127.0.0.1:{port}/livez"), what=f"nginx in {directory}")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def _answers(process: "subprocess.Popen[bytes]", url: str) -> bool:
    assert process.poll() is None, "nginx has ended"
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
