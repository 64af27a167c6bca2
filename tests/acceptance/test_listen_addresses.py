"""The listen addresses of services, as set by GATEWAY_HOST and HEALTH_HOST."""

import socket
import subprocess
from contextlib import contextmanager

import httpx
import pytest

from tests.support.images import photo
from tests.support.services import free_port
from tests.support.waiting import wait_until


def has_ipv6():
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


LOCALHOST = {
    f"[{address[0]}]" if family == socket.AF_INET6 else address[0]
    for family, *_, address in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)
}
needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


def answers(host, port):
    try:
        return httpx.get(f"http://{host}:{port}/livez").status_code == 200
    except httpx.TransportError:
        return False


@contextmanager
def running(system, name, **changes):
    """Run another process of a service for a while."""
    process = system.stack.table[name]
    with system.stack.log_path(f"another-{name}").open("ab") as output:
        second = subprocess.Popen(
            process.command,
            env={**process.environment, **changes},
            cwd=process.directory,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield
        assert second.poll() is None
    finally:
        second.terminate()
        second.wait(40)


@pytest.mark.parametrize(
    ("host", "reached", "not_reached"),
    [
        pytest.param("::", ["127.0.0.1", "[::1]"], [], marks=needs_ipv6),
        pytest.param("[::1]", ["[::1]"], ["127.0.0.1"], marks=needs_ipv6),
        ("localhost", [*LOCALHOST, "localhost"], []),
    ],
)
def test_the_gateway_listens_on_its_configured_address_only(system, host, reached, not_reached):
    port = free_port()
    with running(system, "gateway", GATEWAY_HOST=host, GATEWAY_PORT=port, ALLOW_ANONYMOUS="true"):
        for address in reached:
            wait_until(lambda address=address: answers(address, port), 30, f"an answer at {address}")
        assert not any(answers(address, port) for address in not_reached)


@needs_ipv6
def test_the_admin_port_listens_on_its_configured_address_only(system):
    port = free_port()
    with running(system, "thumbnailer", HEALTH_HOST="::", HEALTH_PORT=port):
        for address in ("127.0.0.1", "[::1]"):
            wait_until(lambda address=address: answers(address, port), 30, f"an answer at {address}")


@needs_ipv6
def test_urls_work_with_an_ipv6_address(system):
    port = free_port()
    base = f"http://[::1]:{port}"
    with running(system, "gateway", GATEWAY_HOST="::1", GATEWAY_PORT=port, PUBLIC_URL=""):
        wait_until(lambda: answers("[::1]", port), 30, "an answer")
        answer = httpx.post(f"{base}/api/v1/images", files={"file": ("a.jpg", photo())})
        assert answer.headers["Location"].startswith(f"{base}/api/v1/images/")
        assert httpx.get(answer.headers["Location"]).status_code == 200


def test_times_are_utc_in_every_time_zone_of_postgres(system):
    port = free_port()
    with running(system, "gateway", GATEWAY_PORT=port, PGTZ="Asia/Kolkata"):
        wait_until(lambda: answers("127.0.0.1", port), 30, "an answer")
        image = system.wait_status(system.post_form(photo())["id"])
        url = f"http://127.0.0.1:{port}/api/v1/images/{image['id']}"
        assert httpx.get(url).json()["created_at"] == image["created_at"]
        assert image["created_at"].endswith("Z")
        assert all(fact["recorded"].endswith("Z") for fact in httpx.get(f"{url}/events").json()["items"])
