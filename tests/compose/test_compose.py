"""compose.yaml for real: a photo through each door, and again after a restart of each service."""

import pytest

from tests.support.compose_system import run_compose
from tests.support.doors import check_thumbnail, open_doors, put_object, send_form, send_ticket

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]
OURS = ("gateway", "thumbnailer", "status-tracker")
PROBE_OF_RIGHTS = """
import importlib.util, os, pathlib
assert os.getuid() == 10001, os.getuid()
assert importlib.util.find_spec("pip") is None and importlib.util.find_spec("ensurepip") is None
pathlib.Path("/tmp/probe").write_text("a place to write there is")
try:
    pathlib.Path("/app/probe").write_text("")
except OSError as fault:
    print(type(fault).__name__, fault.strerror)
"""


@pytest.fixture(scope="module")
def system():
    with run_compose("test", "compose.yaml") as running:
        yield running


@pytest.fixture(scope="module")
def doors(system):
    with open_doors(system.ports, "minioadmin", "minioadmin") as opened:
        yield opened


def test_a_form(doors):
    check_thumbnail(doors, send_form(doors, seed=1))


def test_a_presigned_form(doors):
    check_thumbnail(doors, send_ticket(doors, seed=2))


def test_an_s3_client(doors):
    check_thumbnail(doors, put_object(doors, seed=3))


@pytest.mark.parametrize("name", OURS)
def test_a_service_has_no_rights_and_no_tools(system, name):
    assert (
        system.run("exec", "--no-TTY", name, "python", "-c", PROBE_OF_RIGHTS) == "OSError Read-only file system\n"
    )


def test_an_operator_s_program_is_at_hand(system):
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


@pytest.mark.parametrize("name", [*OURS, "postgres", "rabbitmq", "minio"])
def test_after_a_restart_photos_are_done_again(system, doors, name):
    system.run("stop", name)
    if name in OURS:
        assert system.containers()[name]["State"]["ExitCode"] == 0
    system.run("up", "--detach", "--no-build")
    system.wait_healthy()
    check_thumbnail(doors, send_form(doors, seed=4))
    check_thumbnail(doors, send_ticket(doors, seed=5))
    check_thumbnail(doors, put_object(doors, seed=6, key=f"after/{name}.jpg"))
