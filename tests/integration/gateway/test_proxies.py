"""Streams through a reverse proxy that holds responses back unless it is told not to: nginx as it is installed."""

import zlib
from contextlib import closing

import pytest

from tests.support.live import Stream, wait_changes
from tests.support.nginx import PROGRAM, run_nginx

# Buffering stays on, as it is by default. What nginx compresses it then holds back until much of it has come.
BLOCK = """
    gzip on;
    gzip_types text/event-stream;
    gzip_proxied any;
    server {{
        listen 127.0.0.1:PORT;
        location / {{
            proxy_pass http://127.0.0.1:{gateway};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
        }}
    }}
"""


@pytest.fixture
def nginx(fresh, tmp_path):
    """Yield the port of an nginx in front of the gateway."""
    with run_nginx(tmp_path, BLOCK.format(gateway=fresh.stack.installation.ports["GATEWAY_PORT"])) as port:
        yield port


class CompressedStream(Stream):
    """A stream that a proxy has compressed."""

    @property
    def body(self):
        return zlib.decompressobj(wbits=31).decompress(super().body)


@pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed")
@pytest.mark.parametrize("path", ["/api/v1/stream", "/api/v1/batches/proxied/stream"])
def test_every_event_passes_a_proxy_that_buffers(fresh, nginx, path):
    with closing(CompressedStream(nginx, path, **{"Accept-Encoding": "gzip"})) as stream:
        stream.read_until(lambda one: one.events)
        assert stream.events[0].type == "hello"
        for number in range(1, 4):
            image_id = fresh.put_changes("DONE", batch="proxied")
            assert wait_changes(stream, number)[-1].data["data"]["id"] == str(image_id)
    assert "Content-Encoding: gzip" in stream.head  # so nginx would have held it back
