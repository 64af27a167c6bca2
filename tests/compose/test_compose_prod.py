"""compose.prod.yaml on real Docker: generated secrets, an upload in each way, nothing else published."""

import json
import runpy

import httpx
import pytest

from tests.support.compose_files import CHECKOUT
from tests.support.compose_system import ask_docker, run_compose
from tests.support.upload_routes import check_thumbnail, open_client, put_object, send_form, send_ticket

pytestmark = [pytest.mark.compose, pytest.mark.timeout(900)]
write_secrets = runpy.run_path(str(CHECKOUT / "infra/compose/secret_files.py"))["write_secrets"]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    directory = tmp_path_factory.mktemp("secrets")
    write_secrets(directory)
    return directory


@pytest.fixture(scope="module")
def system(secrets):
    with run_compose(
        "production-test",
        "compose.yaml",
        "compose.prod.yaml",
        SECRETS_DIR=str(secrets),
        PUBLIC_URL="http://127.0.0.1:{GATEWAY_PORT}",
        MINIO_PUBLIC_URL="http://127.0.0.1:{MINIO_PORT}",
    ) as running:
        yield running


def test_an_upload_in_each_way_is_done(system, secrets):
    names = ("minio_root_user", "minio_root_password", "api_keys")
    user, password, key = ((secrets / name).read_text().strip() for name in names)
    with open_client(system.ports, user, password, key) as clients:
        check_thumbnail(clients, send_form(clients, seed=1))
        check_thumbnail(clients, send_ticket(clients, seed=2))
        check_thumbnail(clients, put_object(clients, seed=3))


def test_a_request_without_a_key_is_rejected(system):
    assert httpx.get(f"{system.variables['PUBLIC_URL']}/api/v1/images").status_code == 401


def test_only_the_gateway_and_minio_are_published(system):
    published = {
        name: [binding for bindings in container["NetworkSettings"]["Ports"].values() for binding in bindings or []]
        for name, container in system.containers().items()
    }
    assert {name for name, bindings in published.items() if bindings} == {"gateway", "minio"}
    assert {binding["HostIp"] for bindings in published.values() for binding in bindings} == {"127.0.0.1"}


def test_no_secret_is_in_a_container_s_description(system, secrets):
    text = json.dumps(system.containers())
    assert not [path.name for path in secrets.iterdir() if path.read_text().strip().splitlines()[0] in text]


def test_an_unpublished_service_reaches_no_other_network(system):
    for name, container in system.containers().items():
        networks = [
            network.removeprefix(f"{system.project}_") for network in container["NetworkSettings"]["Networks"]
        ]
        assert sorted(networks) == (["inside", "outside"] if name in {"gateway", "minio"} else ["inside"]), name
    answer = ask_docker("network", "inspect", f"{system.project}_inside", "--format", "{{.Internal}}")
    assert answer.stdout.strip() == "true", answer.stderr


def test_a_missing_secret_or_address_stops_compose_with_its_name():
    files = ("--env-file", "/dev/null", "--file", "compose.yaml", "--file", "compose.prod.yaml")
    result = ask_docker("compose", *files, "config")
    assert result.returncode != 0
    assert {"SECRETS_DIR", "PUBLIC_URL", "MINIO_PUBLIC_URL"} <= set(result.stderr.split())
