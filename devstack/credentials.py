"""The passwords of one installation: generated at the first start, stored in `secrets.env` for its owner only."""

import secrets
from collections.abc import Mapping
from pathlib import Path

from devstack.envfile import read_env_file, write_private_env_file

# Well-known default logins of the two consoles, acceptable since both listen on loopback only. To change one, set
# the environment variable of the same name at any start.
DEFAULT_LOGINS = {
    "MINIO_ROOT_USER": "minioadmin",
    "MINIO_ROOT_PASSWORD": "minioadmin",
    "RABBITMQ_ADMIN_PASSWORD": "admin",
}
GENERATED = (
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
    chosen = {name: environment[name] for name in DEFAULT_LOGINS if environment.get(name)}
    generated = {name: secrets.token_urlsafe(_SECRET_BYTES) for name in GENERATED if name not in known}
    complete = DEFAULT_LOGINS | known | chosen | generated
    if complete != known:
        write_private_env_file(path, complete)
    return complete


def create_signing_keys(path: Path) -> None:
    """Create the keys of signed links if there are none. The gateway reads the file again when it changes."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(f"1:{secrets.token_urlsafe(_SIGNING_KEY_BYTES)}\n", encoding="utf-8")
