"""compose.yaml on real Docker: an upload in each way, and again after a restart of each service."""

import pytest

from tests.support.compose_system import run_compose
from tests.support.upload_routes import check_thumbnail, open_client, put_object, send_form, send_ticket

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]
SERVICES = ("gateway", "thumbnailer", "status-tracker")
CHECK_PRIVILEGES = """
import importlib.util, os, pathlib
assert os.getuid() == 10001, os.getuid()
assert importlib.util.find_spec("pip") is None and importlib.util.find_spec("ensurepip") is None
pathlib.Path("/tmp/probe").write_text("writable")
try:
    pathlib.Path("/app/probe").write_text("")
except OSError as error:
    print(type(error).__name__, error.strerror)
"""


@pytest.fixture(scope="module")
def system():
    with run_compose("test", "compose.yaml") as running:
        yield running


@pytest.fixture(scope="module")
def clients(system):
    with open_client(system.ports, "minioadmin", "minioadmin") as opened:
        yield opened


def test_a_form(clients):
    check_thumbnail(clients, send_form(clients, seed=1))


def test_a_presigned_form(clients):
    check_thumbnail(clients, send_ticket(clients, seed=2))


def test_an_s3_client(clients):
    check_thumbnail(clients, put_object(clients, seed=3))


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_privileges_and_no_build_tools(system, name):
    assert (
        system.run("exec", "--no-TTY", name, "python", "-c", CHECK_PRIVILEGES) == "OSError Read-only file system\n"
    )


def test_the_operators_program_runs(system):
    assert "no dead letters" in system.run("run", "--rm", "--no-TTY", "cli", "dead", "list")


def test_only_loopback_is_published(system):
    published = {
        (binding["HostIp"], int(binding["HostPort"]))
        for container in system.containers().values()
        for bindings in container["NetworkSettings"]["Ports"].values()
        for binding in bindings or []
    }
    variables = ("GATEWAY_PORT", "MINIO_PORT", "MINIO_CONSOLE_PORT", "RABBITMQ_MANAGEMENT_PORT")
    assert published == {("127.0.0.1", system.ports[variable]) for variable in variables}


@pytest.mark.parametrize("name", [*SERVICES, "postgres", "rabbitmq", "minio"])
def test_uploads_are_done_after_a_restart(system, clients, name):
    system.run("stop", name)
    if name in SERVICES:
        assert system.containers()[name]["State"]["ExitCode"] == 0
    system.run("up", "--detach", "--no-build")
    system.wait_healthy()
    check_thumbnail(clients, send_form(clients, seed=4))
    check_thumbnail(clients, send_ticket(clients, seed=5))
    check_thumbnail(clients, put_object(clients, seed=6, key=f"after/{name}.jpg"))
