"""compose.yaml for real: a photo through each door, and again after a restart of each service."""

import httpx
import pytest

from support.compose_system import run_compose
from support.doors import make_photo, post_form, post_ticket, put_object, thumbnail_of, wait_done

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


@pytest.fixture
def api(system):
    with httpx.Client(base_url=f"http://127.0.0.1:{system.ports['GATEWAY_PORT']}", timeout=30) as client:
        yield client


def put_by_s3(system, api, photo, key):
    url = f"http://127.0.0.1:{system.ports['MINIO_PORT']}"
    return put_object(api, photo, url=url, user="minioadmin", password="minioadmin", key=key)


def check_done(api, image_id):
    image = wait_done(api, image_id)
    assert max(thumbnail_of(api, image).size) == 256


def test_a_form(api):
    check_done(api, post_form(api, make_photo(1)))


def test_a_presigned_form(api):
    check_done(api, post_ticket(api, make_photo(2)))


def test_an_s3_client(system, api):
    check_done(api, put_by_s3(system, api, make_photo(3), "holiday/ä b+c 100%.jpg"))


@pytest.mark.parametrize("name", OURS)
def test_a_service_has_no_rights_and_no_tools(system, name):
    assert (
        system.run("exec", "--no-TTY", name, "python", "-c", PROBE_OF_RIGHTS) == "OSError Read-only file system\n"
    )


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
def test_after_a_restart_photos_are_done_again(system, api, name):
    system.run("stop", name)
    if name in OURS:
        assert system.containers()[name]["State"]["ExitCode"] == 0
    system.run("up", "--detach", "--no-build")
    system.wait_healthy()
    for image_id in (
        post_form(api, make_photo(4)),
        post_ticket(api, make_photo(5)),
        put_by_s3(system, api, make_photo(6), f"after/{name}.jpg"),
    ):
        check_done(api, image_id)
