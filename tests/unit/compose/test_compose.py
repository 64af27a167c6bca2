"""compose.yaml, alone and under compose.prod.yaml: its names are known to services and servers."""

import re
import runpy
from importlib.resources import files
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from devstack.envfile import read_env_file
from devstack.ports import DEFAULTS
from tests.support.compose_files import CHECKOUT, merge_compose, read_compose, read_dockerfile, resolve
from thumbmill.cli.settings import KeySettings, TenantSettings
from thumbmill.cli.settings import Settings as OperatorSettings
from thumbmill.core.settings import load
from thumbmill.gateway.settings import Settings as GatewaySettings
from thumbmill.thumbnailer.settings import Settings as ThumbnailerSettings
from thumbmill.tracker.settings import MigrationSettings
from thumbmill.tracker.settings import Settings as TrackerSettings


class CommandLineSettings(KeySettings, TenantSettings, OperatorSettings):
    """The settings of all commands."""


WRITTEN = read_compose("compose.yaml")
SYSTEMS = {
    "development": resolve(WRITTEN),
    "production": resolve(merge_compose(WRITTEN, read_compose("compose.prod.yaml")), SECRETS_DIR="/s"),
}
SETTINGS = {
    "gateway": GatewaySettings,
    "thumbnailer": ThumbnailerSettings,
    "status-tracker": TrackerSettings,
    "migrate": MigrationSettings,
    "cli": CommandLineSettings,
}
PROVISION = runpy.run_path(str(CHECKOUT / "infra/minio/provision.py"))
USERS = runpy.run_path(str(CHECKOUT / "infra/rabbitmq/users.py"))
_MINIO_SET_UP = {"MINIO_URL", "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD", *PROVISION["SECRETS"].values()}
SET_UP = {
    "minio-setup": _MINIO_SET_UP,
    "minio-watch": _MINIO_SET_UP,
    "rabbitmq-users": set(USERS["SECRETS"].values()),
    "rabbitmq-watch": {"RABBITMQ_MANAGEMENT_URL", "RABBITMQ_ADMIN_PASSWORD"},
}
LONG_RUNNING = {"postgres", "rabbitmq", "minio", "gateway", "thumbnailer", "status-tracker"}
ONE_SHOT = {"rabbitmq-users", "minio-setup", "migrate"}
ON_REQUEST = {"cli"}
WATCHING = {"minio-watch", "rabbitmq-watch"}  # no other service waits for it


@pytest.fixture(params=SYSTEMS)
def system(request):
    return SYSTEMS[request.param]


@pytest.fixture
def services(system):
    return system["services"]


def without_file(name):
    return name.removesuffix("_FILE")


def test_the_services_are_known(services):
    assert services.keys() == LONG_RUNNING | ONE_SHOT | ON_REQUEST | WATCHING


def test_services_on_request_are_not_started_by_up_and_no_other_waits_for_them(services):
    awaited = {other for service in services.values() for other in service.get("depends_on", {})}
    for name, service in services.items():
        assert ("profiles" in service) == (name in ON_REQUEST), name
    assert not awaited & ON_REQUEST


def test_built_images_are_targets_and_pulled_images_are_pinned(services):
    _, stages = read_dockerfile()
    for name, service in services.items():
        if "build" in service:
            assert service["build"]["target"] in stages, name
            assert service["build"]["context"] == "."
        else:
            assert re.search(r":[\w.-]*\d[\w.-]*(@sha256:[0-9a-f]{64})?$", service["image"]), name


@pytest.mark.parametrize("name", SETTINGS)
def test_every_variable_is_a_setting(services, name):
    fields = {field.upper() for field in SETTINGS[name].model_fields}
    given = [
        variable if variable in fields else without_file(variable) for variable in services[name]["environment"]
    ]
    assert set(given) <= fields
    assert len(given) == len(set(given)), "set both as a value and as a file"


# Set by the file itself, because they follow from its servers, networks and mounts.
DECIDED = {
    *("MINIO_URL", "MINIO_REGION", "MINIO_ACCESS_KEY", "PRESETS_FILE"),
    *("UPLOAD_SIGNER_ACCESS_KEY", "PART_SIGNER_ACCESS_KEY"),
    *("RABBITMQ_HOST", "RABBITMQ_PORT", "RABBITMQ_VHOST", "RABBITMQ_USER", "STATUS_TRACKER_URL"),
    "RABBITMQ_QUEUE",  # definitions.json names the queue, and binds it
    *("GATEWAY_HOST", "GATEWAY_PORT", "HEALTH_HOST", "HEALTH_PORT"),
}
ONLY_IN_DEVELOPMENT = {"ALLOW_ANONYMOUS"}


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("kind", SYSTEMS)
def test_every_setting_can_be_set(kind, name):
    written = WRITTEN if kind == "development" else merge_compose(WRITTEN, read_compose("compose.prod.yaml"))
    environment = written["services"][name]["environment"]
    for field, info in SETTINGS[name].model_fields.items():
        variable = field.upper()
        if variable in DECIDED or info.description.startswith("Tests only"):
            continue
        if kind == "production" and variable in ONLY_IN_DEVELOPMENT:
            assert environment[variable] == "false"
        elif f"{variable}_FILE" in environment:
            assert environment[f"{variable}_FILE"].startswith("/run/secrets/")
        elif "DATABASE_URL" in variable or variable in {"MINIO_SECRET_KEY", "RABBITMQ_PASSWORD"}:
            assert "PASSWORD:-" in environment[variable] or "SECRET_KEY:-" in environment[variable]
        else:
            assert environment.get(variable, "").startswith(f"${{{variable}:"), f"{name}: {variable}"


@pytest.mark.parametrize("name", SETTINGS)
def test_the_settings_accept_the_values(system, services, name, monkeypatch, tmp_path):
    mounted = {config["target"]: config["source"] for config in services[name].get("configs", [])}
    for variable in (*(field.upper() for field in SETTINGS[name].model_fields), "API_KEYS_FILE"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in services[name]["environment"].items():
        if value in mounted:
            monkeypatch.setenv(variable, str(CHECKOUT / system["configs"][mounted[value]]["file"]))
        elif variable.endswith("_FILE"):
            path = tmp_path / variable
            secret = f"1:{'s' * 32}" if "SIGNING_KEYS" in variable else "secret"
            path.write_text("postgresql://u:p@postgres/thumbmill" if "DATABASE_URL" in variable else secret)
            monkeypatch.setenv(variable, str(path))
        else:
            monkeypatch.setenv(variable, "http://example.org" if value.startswith("<") else value)
    load(SETTINGS[name])


def test_a_variable_names_the_file_of_presets(services):
    thumbnailer = services["thumbnailer"]
    assert thumbnailer["configs"] == [{"source": "presets", "target": thumbnailer["environment"]["PRESETS_FILE"]}]
    written = WRITTEN["configs"]["presets"]["file"]
    assert resolve(written, PRESETS_FILE="./own.yaml") == "./own.yaml"
    default = CHECKOUT / resolve(written)
    assert default == Path(str(files("thumbmill.thumbnailer.presets") / "default.yaml"))
    assert default.stat().st_mode & 0o004  # the container runs under another account


@pytest.mark.parametrize("name", SET_UP)
def test_a_set_up_program_gets_exactly_its_variables(services, name):
    assert {without_file(variable) for variable in services[name]["environment"]} == SET_UP[name]
    assert (CHECKOUT / services[name]["command"][0]).is_file()


def test_postgres_gets_what_its_script_reads(services):
    script = (CHECKOUT / "infra/postgres/roles.sh").read_text()
    given = {without_file(variable) for variable in services["postgres"]["environment"]}
    assert set(re.findall(r"read_secret (\w+)", script)) | {"POSTGRES_USER", "POSTGRES_DB"} <= given


def test_minio_gets_its_targets_and_no_variable_twice(services):
    shared = read_env_file(CHECKOUT / services["minio"]["env_file"])
    own = services["minio"]["environment"]
    assert not shared.keys() & own.keys()
    assert all(variable.startswith("MINIO_") for variable in own)
    assert shared["MINIO_NOTIFY_AMQP_QUEUE_DIR_DURABLE"].startswith("/data/")
    assert services["minio"]["command"][1] == "/data/drive"  # in /data the queue would be a bucket


def test_every_mounted_file_is_readable_by_the_server(services):
    for service in services.values():
        for volume in service.get("volumes", []):
            source, target, *_ = volume.split(":")
            if not source.startswith("."):
                continue
            mode = (CHECKOUT / source).stat().st_mode
            assert mode & 0o004, source
            assert mode & 0o001 or not target.endswith(".sh"), source


def test_volumes_are_declared_and_mounted_at_the_servers_data_directories(system):
    places = {
        (source, target)
        for service in system["services"].values()
        for source, target, *_ in (volume.split(":") for volume in service.get("volumes", []))
        if not source.startswith(".")
    }
    assert {source for source, _ in places} == system["volumes"].keys()
    assert {("postgres", "/var/lib/postgresql"), ("rabbitmq", "/var/lib/rabbitmq"), ("minio", "/data")} <= places
    directory = read_rabbitmq_setting("load_definitions")
    assert ("rabbitmq-definitions", directory) in places
    assert (
        f"./infra/rabbitmq/definitions.json:{directory}/definitions.json:ro"
        in system["services"]["rabbitmq"]["volumes"]
    )


def read_rabbitmq_setting(name):
    [value] = re.findall(rf"^{name} = (.+)$", (CHECKOUT / "infra/rabbitmq/rabbitmq.conf").read_text(), re.MULTILINE)
    return value


def test_the_users_file_is_written_where_rabbitmq_reads_it(services):
    [volume] = services["rabbitmq-users"]["volumes"]
    assert services["rabbitmq-users"]["command"][1].startswith(volume.split(":")[1] + "/")


def test_services_wait_for_the_right_condition(services):
    for name, service in services.items():
        for other, condition in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in ONE_SHOT else "service_healthy"
            assert condition == {"condition": wanted}, f"{name} on {other}"
    awaited = {other for service in services.values() for other in service.get("depends_on", {})}
    assert awaited >= ONE_SHOT


def test_only_long_running_services_are_probed_and_restarted(services):
    for name in LONG_RUNNING:
        assert services[name]["restart"] == "unless-stopped"
        assert services[name]["healthcheck"]["test"][0] == "CMD"
    for name in WATCHING:
        assert services[name]["restart"] == "unless-stopped"
    for name in ONE_SHOT | ON_REQUEST:
        assert services[name]["restart"] == "no"
        assert "healthcheck" not in services[name]


def test_minio_s_probe_is_a_program_of_the_built_image_too(services):
    program = services["minio"]["healthcheck"]["test"][1]
    assert f"install --no-install-recommends --yes {program} " in (CHECKOUT / "infra/minio/Dockerfile").read_text()


@pytest.mark.parametrize("name", ["gateway", "thumbnailer", "status-tracker"])
def test_the_probe_uses_the_port_that_the_service_listens_on(services, name):
    environment = services[name]["environment"]
    port = environment.get("GATEWAY_PORT") or environment["HEALTH_PORT"]
    assert f"http://127.0.0.1:{port}/readyz" in services[name]["healthcheck"]["test"][-1]


@pytest.mark.parametrize(
    "name", ["gateway", "thumbnailer", "status-tracker", *sorted(ONE_SHOT | ON_REQUEST | WATCHING)]
)
def test_the_project_s_containers_have_no_privileges(services, name):
    assert services[name]["read_only"] is True
    assert services[name]["cap_drop"] == ["ALL"]
    assert services[name]["security_opt"] == ["no-new-privileges:true"]


# CHOWN and the like for an entry point that changes the owner of its directories, SETUID and SETGID to drop root.
DROPPING_ROOT = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"]


@pytest.mark.parametrize("name", ["postgres", "rabbitmq", "minio"])
def test_a_third_party_server_has_only_the_capabilities_to_drop_root(services, name):
    assert services[name]["read_only"] is True
    assert services[name]["tmpfs"]
    assert (services[name]["cap_drop"], services[name]["cap_add"]) == (["ALL"], DROPPING_ROOT)
    assert services[name]["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", ["thumbnailer", "status-tracker"])
def test_work_in_progress_may_end_before_the_kill(services, name):
    grace = SETTINGS[name].model_fields["stop_grace_seconds"].default
    assert int(services[name]["stop_grace_period"].removesuffix("s")) >= grace + 5


@pytest.mark.parametrize("name", ["gateway", "thumbnailer", "status-tracker", "minio-setup"])
def test_addresses_name_services(services, name):
    environment = services[name]["environment"]
    assert environment.get("RABBITMQ_HOST", "rabbitmq") == "rabbitmq"
    assert environment["MINIO_URL"] == "http://minio:9000"
    if "DATABASE_URL" in environment:
        assert urlsplit(environment["DATABASE_URL"]).hostname == "postgres"


def test_every_published_port_is_on_loopback_and_moved_by_its_variable():
    for name, variable, inside in (
        ("gateway", "GATEWAY_PORT", SYSTEMS["development"]["services"]["gateway"]["environment"]["GATEWAY_PORT"]),
        ("minio", "MINIO_PORT", "9000"),
        ("minio", "MINIO_CONSOLE_PORT", "9001"),
        ("rabbitmq", "RABBITMQ_MANAGEMENT_PORT", "15672"),
    ):
        written = f"127.0.0.1:${{{variable}:-{DEFAULTS[variable]}}}:{inside}"
        assert written in WRITTEN["services"][name]["ports"]
    published = [port for service in WRITTEN["services"].values() for port in service.get("ports", [])]
    assert len(published) == 4


def test_addresses_for_clients_follow_the_ports():
    environment = WRITTEN["services"]["gateway"]["environment"]
    moved = resolve(environment, GATEWAY_PORT="18000", MINIO_PORT="19000")
    assert moved["PUBLIC_URL"] == "http://127.0.0.1:18000"
    assert moved["MINIO_PUBLIC_URL"] == "http://127.0.0.1:19000"
    assert moved["GATEWAY_PORT"] == environment["GATEWAY_PORT"]
