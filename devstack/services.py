"""The three services: how their processes are started, as console scripts with settings."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from devstack.installation import Installation
from devstack.postgres import OWNER, database_url
from devstack.probes import answers_http
from devstack.processes import Process

NAMES = ("gateway", "thumbnailer", "status-tracker")


def describe_services(installation: Installation) -> list[Process]:
    """Return the services in their start order."""
    return [
        _describe_gateway(installation),
        _describe_thumbnailer(installation),
        _describe_status_tracker(installation),
    ]


def describe_migrate(installation: Installation) -> tuple[list[str], dict[str, str]]:
    """Return the command and environment that migrate the database to the current schema."""
    url = database_url(installation, OWNER, installation.secrets["POSTGRES_PASSWORD"])
    settings = {"LOG_FORMAT": "console", "MIGRATION_DATABASE_URL": url}
    return [_script("status-tracker"), "migrate"], _merge_environment(settings, installation.overrides)


def describe_operator(installation: Installation) -> dict[str, str]:
    """Return the settings of `thumbmill` for this installation."""
    return {
        "RABBITMQ_HOST": "127.0.0.1",
        "RABBITMQ_PORT": str(installation.ports["RABBITMQ_PORT"]),
        "RABBITMQ_VHOST": "/",
        "RABBITMQ_USER": "operator",
        "RABBITMQ_PASSWORD": installation.secrets["OPERATOR_RABBITMQ_PASSWORD"],
        "RABBITMQ_QUEUE": installation.queue,
        "STATUS_TRACKER_URL": f"http://127.0.0.1:{installation.ports['STATUS_TRACKER_HEALTH_PORT']}",
        "KEY_KEEPER_DATABASE_URL": database_url(
            installation, "key_keeper", installation.secrets["KEY_KEEPER_DATABASE_PASSWORD"]
        ),
        "MINIO_URL": f"http://127.0.0.1:{installation.ports['MINIO_PORT']}",
        "MINIO_ROOT_USER": installation.secrets["MINIO_ROOT_USER"],
        "MINIO_ROOT_PASSWORD": installation.secrets["MINIO_ROOT_PASSWORD"],
    }


def _describe_gateway(installation: Installation) -> Process:
    port = installation.ports["GATEWAY_PORT"]
    settings = {
        "GATEWAY_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "DATABASE_URL": database_url(installation, "gateway", installation.secrets["GATEWAY_DATABASE_PASSWORD"]),
        "MINIO_PUBLIC_URL": f"http://127.0.0.1:{installation.ports['MINIO_PORT']}",
        "UPLOAD_SIGNER_ACCESS_KEY": "upload-signer",
        "UPLOAD_SIGNER_SECRET_KEY": installation.secrets["UPLOAD_SIGNER_SECRET_KEY"],
        "SIGNING_KEYS_FILE": str(installation.signing_keys_file),
        "PART_SIGNER_ACCESS_KEY": "part-signer",
        "PART_SIGNER_SECRET_KEY": installation.secrets["PART_SIGNER_SECRET_KEY"],
    }
    return _describe(installation, "gateway", [_script("gateway")], port, settings)


def _describe_thumbnailer(installation: Installation) -> Process:
    port = installation.ports["THUMBNAILER_HEALTH_PORT"]
    settings = {"HEALTH_HOST": "127.0.0.1", "HEALTH_PORT": str(port), "RABBITMQ_QUEUE": installation.queue}
    return _describe(installation, "thumbnailer", [_script("thumbnailer")], port, settings)


def _describe_status_tracker(installation: Installation) -> Process:
    port = installation.ports["STATUS_TRACKER_HEALTH_PORT"]
    settings = {
        "HEALTH_HOST": "127.0.0.1",
        "HEALTH_PORT": str(port),
        "RABBITMQ_QUEUE": installation.queue,
        "DATABASE_URL": database_url(
            installation, "status_tracker", installation.secrets["STATUS_TRACKER_DATABASE_PASSWORD"]
        ),
    }
    return _describe(installation, "status-tracker", [_script("status-tracker"), "run"], port, settings)


def _describe(
    installation: Installation, name: str, command: list[str], port: int, settings: Mapping[str, str]
) -> Process:
    prefix = name.upper().replace("-", "_")
    common = {
        "LOG_FORMAT": "console",
        "MINIO_URL": f"http://127.0.0.1:{installation.ports['MINIO_PORT']}",
        "MINIO_ACCESS_KEY": name,
        "MINIO_SECRET_KEY": installation.secrets[f"{prefix}_MINIO_SECRET_KEY"],
        "RABBITMQ_HOST": "127.0.0.1",
        "RABBITMQ_PORT": str(installation.ports["RABBITMQ_PORT"]),
        "RABBITMQ_VHOST": "/",
        "RABBITMQ_USER": name,
        "RABBITMQ_PASSWORD": installation.secrets[f"{prefix}_RABBITMQ_PASSWORD"],
    }
    return Process(
        name=name,
        command=command,
        environment=_merge_environment({**common, **settings}, installation.overrides),
        is_ready=lambda: answers_http(port, "/readyz"),
        directory=installation.directory,
    )


def _merge_environment(settings: Mapping[str, str], overrides: Mapping[str, str]) -> dict[str, str]:
    """Merge the shell's environment (THUMBNAILER_DECODERS=4 make up), the settings and the overrides."""
    # A service rejects a secret that is set twice.
    twins = {name.removesuffix("_FILE") if name.endswith("_FILE") else f"{name}_FILE" for name in settings}
    inherited = {name: value for name, value in os.environ.items() if name not in twins}
    return {**inherited, **settings, **overrides}


def _script(name: str) -> str:
    return str(Path(sys.executable).parent / name)
