"""compose.prod.yaml: no secret but in a file, nothing published but what clients need, a limit on everything."""

import json
import re
import runpy

import pytest

from devstack.envfile import read_env_file
from tests.support.compose_files import CHECKOUT, Tagged, merge_compose, read_compose, resolve
from thumbmill.thumbnailer.settings import Settings as ThumbnailerSettings

DEVELOPMENT = read_compose("compose.yaml")
WRITTEN = read_compose("compose.prod.yaml")
PRODUCTION = resolve(merge_compose(DEVELOPMENT, WRITTEN), SECRETS_DIR="/s", PUBLIC_URL="https://images.example.org")
SERVICES = PRODUCTION["services"]
SECRET_FILES = runpy.run_path(str(CHECKOUT / "infra/compose/secret_files.py"))
SECRET_NAME = re.compile(r"(PASSWORD|SECRET|KEYS|DATABASE_URL|ROOT_USER|AMQP_URL)")
GIBIBYTE = 1024**3


def bytes_of(size):
    number, unit = re.fullmatch(r"(\d+)([mg])", size).groups()
    return int(number) * (GIBIBYTE if unit == "g" else 1024**2)


def test_every_secret_is_a_file():
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if SECRET_NAME.search(variable):
                assert variable.endswith("_FILE"), f"{name}: {variable}"
                assert value.removeprefix("/run/secrets/") in service["secrets"], f"{name}: {variable}"


def test_every_secret_of_a_service_is_read_by_a_variable():
    for service in SERVICES.values():
        read = {str(value).removeprefix("/run/secrets/") for value in service.get("environment", {}).values()}
        assert set(service.get("secrets", [])) <= read


def test_no_secret_has_a_default():
    for name, secret in WRITTEN["secrets"].items():
        assert re.fullmatch(rf"\$\{{SECRETS_DIR:\?[^}}]*\}}/{name}", secret["file"])
    used = {name for service in SERVICES.values() for name in service.get("secrets", [])}
    assert used == WRITTEN["secrets"].keys()


def test_no_development_password_is_left():
    passwords = set(re.findall(r":-([a-z-]+-dev|admin|minioadmin)\b", (CHECKOUT / "compose.yaml").read_text()))
    assert len(passwords) > 5
    text = json.dumps({name: service.get("environment") for name, service in SERVICES.items()})
    assert not [password for password in passwords if f'"{password}"' in text or f":{password}@" in text]


def test_environments_are_replaced_as_a_whole():
    for name, service in DEVELOPMENT["services"].items():
        if "environment" in service:
            assert WRITTEN["services"][name]["environment"].tag == "override"


def test_addresses_and_keys_are_required():
    environment = WRITTEN["services"]["gateway"]["environment"].value
    assert environment["PUBLIC_URL"].startswith("${PUBLIC_URL:?")
    assert environment["MINIO_PUBLIC_URL"].startswith("${MINIO_PUBLIC_URL:?")
    assert "API_KEYS_FILE" in environment
    assert environment["ALLOW_ANONYMOUS"] == "false"


def test_only_what_clients_need_is_published():
    assert {name: service["ports"] for name, service in SERVICES.items() if service.get("ports")} == {
        "gateway": ["127.0.0.1:8000:8000"],
        "minio": ["127.0.0.1:9000:9000"],
    }
    assert all(isinstance(WRITTEN["services"][name]["ports"], Tagged) for name in ("gateway", "minio", "rabbitmq"))
    assert SERVICES["minio"]["environment"]["MINIO_BROWSER"] == "off"


def test_only_what_is_published_reaches_the_world():
    assert WRITTEN["networks"] == {"inside": {"internal": True}, "outside": None}
    for name, service in SERVICES.items():
        assert service["networks"] == (["inside", "outside"] if service.get("ports") else ["inside"]), name


def test_everything_has_its_limits():
    for name, service in SERVICES.items():
        assert {"mem_limit", "pids_limit", "cpus"} <= service.keys(), name
        assert service["logging"]["options"]["max-size"], name


def test_the_thumbnailer_has_memory_for_its_decoders():
    service = SERVICES["thumbnailer"]
    each = ThumbnailerSettings.model_fields["decode_memory_bytes"].default
    ordinary = int(service["environment"]["THUMBNAILER_DECODERS"])
    slow = ordinary // 2
    assert bytes_of(service["mem_limit"]) >= (ordinary / 2 + slow) * each + 2**30


def test_the_program_writes_every_secret_file_and_no_other(tmp_path):
    made = SECRET_FILES["write_secrets"](tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == WRITTEN["secrets"].keys()
    assert len({(tmp_path / name).read_text() for name in made}) == len(made)
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o444}


def test_a_second_run_keeps_passwords_and_follows_changed_ones(tmp_path):
    SECRET_FILES["write_secrets"](tmp_path)
    before = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert SECRET_FILES["write_secrets"](tmp_path) == []
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == before

    for name in ("gateway_database_password", "minio_rabbitmq_password"):
        (tmp_path / name).unlink()
        (tmp_path / name).write_text("p@ss/w:rd")
    SECRET_FILES["write_secrets"](tmp_path)
    changed = {path.name for path in tmp_path.iterdir() if path.read_text() != before[path.name]}
    targets = read_env_file(tmp_path / "minio_targets")
    assert changed == {
        "gateway_database_password",
        "gateway_database_url",
        "minio_rabbitmq_password",
        "minio_targets",
    }
    assert set(targets.values()) == {"amqp://minio:p%40ss%2Fw%3Ard@rabbitmq:5672"}


@pytest.mark.parametrize("name", ["minio_root_user", "minio_root_password", "gateway_minio_secret_key"])
def test_minio_takes_what_the_program_makes(tmp_path, name):
    SECRET_FILES["write_secrets"](tmp_path)
    assert 20 <= len((tmp_path / name).read_text().strip()) <= 40
