"""Streams through a reverse proxy that holds responses back unless it is told not to: nginx as it is installed."""

import shutil
import subprocess
import zlib
from contextlib import closing

import httpx
import pytest

from tests.support.live import Stream, wait_changes
from tests.support.services import free_port
from tests.support.waiting import wait_until

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
# Buffering stays on, as it is by default. What nginx compresses it then holds back until much of it has come.
CONFIGURATION = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    gzip on;
    gzip_types text/event-stream;
    gzip_proxied any;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://127.0.0.1:{gateway};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
        }}
    }}
}}
"""


@pytest.fixture
def nginx(fresh, tmp_path):
    """Yield the port of an nginx in front of the gateway."""
    port, file = int(free_port()), tmp_path / "nginx.conf"
    gateway = fresh.stack.installation.ports["GATEWAY_PORT"]
    file.write_text(CONFIGURATION.format(directory=tmp_path, port=port, gateway=gateway), encoding="utf-8")
    process = subprocess.Popen([NGINX, "-p", tmp_path, "-c", file, "-e", tmp_path / "error.log"])
    try:
        wait_until(lambda: is_open(port), 10, "nginx")
        yield port
    finally:
        process.terminate()
        process.wait(10)


def is_open(port):
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health").status_code == 200
    except httpx.TransportError:
        return False


class CompressedStream(Stream):
    """A stream that a proxy has compressed."""

    @property
    def body(self):
        return zlib.decompressobj(wbits=31).decompress(super().body)


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
@pytest.mark.parametrize("path", ["/api/v1/stream", "/api/v1/batches/proxied/stream"])
def test_every_event_passes_a_proxy_that_buffers(fresh, nginx, path):
    with closing(CompressedStream(nginx, path, **{"Accept-Encoding": "gzip"})) as stream:
        stream.read_until(lambda one: one.events)
        assert stream.events[0].type == "hello"
        for number in range(1, 4):
            image_id = fresh.put_changes("DONE", batch="proxied")
            assert wait_changes(stream, number)[-1].data["data"]["id"] == str(image_id)
    assert "Content-Encoding: gzip" in stream.head  # so nginx would have held it back
