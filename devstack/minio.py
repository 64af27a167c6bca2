"""The MinIO server of an installation: how its processes are started."""

import os
import shutil
import sys
from pathlib import Path
from urllib.parse import quote

from devstack.envfile import read_env_file
from devstack.errors import LaunchError
from devstack.installation import CHECKOUT, Installation
from devstack.minio_build import minio_program
from devstack.probes import answers_http
from devstack.processes import Process

SHARED = CHECKOUT / "infra" / "minio"
WATCH_SECONDS = 15  # as in compose.yaml


def describe_minio(installation: Installation) -> Process:
    """Return the server: one drive, loopback only, with the notification targets of minio.env."""
    home = installation.data / "minio"
    port, console = installation.ports["MINIO_PORT"], installation.ports["MINIO_CONSOLE_PORT"]
    program = _shared_program(home, minio_program()) if installation.account else minio_program()
    return Process(
        name="minio",
        command=[
            str(program),
            "server",
            "--quiet",
            *("--address", f"127.0.0.1:{port}"),
            *("--console-address", f"127.0.0.1:{console}"),
            str(home / "drive"),
        ],
        environment=_environment(installation, home),
        is_ready=lambda: answers_http(port, "/minio/health/ready"),
        directory=installation.data,
        account=installation.account,
        prepare=lambda: _prepare_directories(installation, home),
        kill_group=True,
    )


def describe_provision(installation: Installation) -> tuple[list[str], dict[str, str]]:
    """Return the idempotent command that creates users, policies, buckets, notifications; and its environment."""
    environment = installation.server_environment(installation.data)
    environment |= {name: value for name, value in installation.secrets.items() if name.startswith("MINIO_ROOT_")}
    environment |= {name: value for name, value in installation.secrets.items() if name.endswith("_SECRET_KEY")}
    environment["PYTHONUNBUFFERED"] = "1"
    environment["MINIO_URL"] = f"http://127.0.0.1:{installation.ports['MINIO_PORT']}"
    return [sys.executable, str(SHARED / "provision.py")], environment


def describe_minio_watch(installation: Installation) -> Process:
    """Return the process that keeps running and restores missing users, policies, buckets and notifications."""
    command, environment = describe_provision(installation)
    return Process(
        name="minio-watch",
        command=[*command, "--watch", str(WATCH_SECONDS)],
        environment=environment,
        is_ready=lambda: True,
        directory=installation.data,
    )


def _environment(installation: Installation, home: Path) -> dict[str, str]:
    password = quote(installation.secrets["MINIO_RABBITMQ_PASSWORD"], safe="")
    broker = f"amqp://minio:{password}@127.0.0.1:{installation.ports['RABBITMQ_PORT']}"
    environment = installation.server_environment(home) | read_env_file(SHARED / "minio.env")
    environment |= {
        "MINIO_ROOT_USER": installation.secrets["MINIO_ROOT_USER"],
        "MINIO_ROOT_PASSWORD": installation.secrets["MINIO_ROOT_PASSWORD"],
        "MINIO_NOTIFY_AMQP_URL_IMMEDIATE": broker,
        "MINIO_NOTIFY_AMQP_URL_DURABLE": broker,
        "MINIO_NOTIFY_AMQP_QUEUE_DIR_DURABLE": str(home / "events"),
    }
    # Without a list MinIO allows every origin, even for its admin API. The gateway's pages send upload forms to it.
    port = installation.ports["GATEWAY_PORT"]
    origins = installation.overrides.get("CORS_ALLOW_ORIGINS") or os.environ.get("CORS_ALLOW_ORIGINS")
    own = f"http://127.0.0.1:{port},http://localhost:{port}"
    return environment | {"MINIO_API_CORS_ALLOW_ORIGIN": origins or own}


def _prepare_directories(installation: Installation, home: Path) -> None:
    built = minio_program()
    if not built.exists():
        raise LaunchError(f"no MinIO server at {built}: run `python -m devstack setup`")
    for part in (home, home / "drive", home / "events"):
        part.mkdir(mode=0o700, exist_ok=True)
        if installation.account:
            os.chown(part, installation.account.uid, installation.account.gid)
    if installation.account:
        _share_program(built, _shared_program(home, built))


def _shared_program(home: Path, built: Path) -> Path:
    return home / "bin" / built.parent.name  # named by its version


def _share_program(built: Path, target: Path) -> None:
    """Put the program where the servers' account can execute it: it cannot enter root's cache."""
    target.parent.mkdir(exist_ok=True)
    if target.exists():
        return
    try:
        os.link(built, target)
    except OSError:  # another file system
        shutil.copy2(built, target)
