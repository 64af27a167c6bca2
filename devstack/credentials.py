"""The passwords of one installation: generated at the first start, stored in `secrets.env` for its owner only."""

import secrets
from collections.abc import Mapping
from pathlib import Path

from devstack.envfile import read_env_file, write_private_env_file

MINIO_ROOT_USER = "minioadmin"
# Of the two consoles. They listen on loopback only, but a web page whose name leads there could try known passwords
# against their interfaces. To choose one, set the environment variable of the same name at any start.
CONSOLE_PASSWORDS = ("MINIO_ROOT_PASSWORD", "RABBITMQ_ADMIN_PASSWORD")
GENERATED = (
    *CONSOLE_PASSWORDS,
    "GATEWAY_MINIO_SECRET_KEY",
    "UPLOAD_SIGNER_SECRET_KEY",
    "PART_SIGNER_SECRET_KEY",
    "THUMBNAILER_MINIO_SECRET_KEY",
    "STATUS_TRACKER_MINIO_SECRET_KEY",
    "S3_UPLOADER_SECRET_KEY",
    "MINIO_RABBITMQ_PASSWORD",
    "GATEWAY_RABBITMQ_PASSWORD",
    "THUMBNAILER_RABBITMQ_PASSWORD",
    "STATUS_TRACKER_RABBITMQ_PASSWORD",
    "OPERATOR_RABBITMQ_PASSWORD",
    "POSTGRES_PASSWORD",
    "STATUS_TRACKER_DATABASE_PASSWORD",
    "GATEWAY_DATABASE_PASSWORD",
    "KEY_KEEPER_DATABASE_PASSWORD",
)
_SIGNING_KEY_BYTES = 32
_SECRET_BYTES = 24  # 32 characters; MinIO accepts 8 to 40


def load_secrets(path: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return all secrets; generate and store those that the file does not contain.

    The environment overrides the logins of the two consoles.
    """
    known = read_env_file(path) if path.exists() else {}
    changeable = ("MINIO_ROOT_USER", *CONSOLE_PASSWORDS)
    chosen = {name: environment[name] for name in changeable if environment.get(name)}
    generated = {name: secrets.token_urlsafe(_SECRET_BYTES) for name in GENERATED if name not in known}
    complete = {"MINIO_ROOT_USER": MINIO_ROOT_USER} | generated | known | chosen
    if complete != known:
        write_private_env_file(path, complete)
    return complete


def create_signing_keys(path: Path) -> None:
    """Create the keys of signed links if there are none. The gateway reads the file again when it changes."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(f"1:{secrets.token_urlsafe(_SIGNING_KEY_BYTES)}\n", encoding="utf-8")
