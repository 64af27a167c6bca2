"""The passwords of one installation: made at the first start, kept in `secrets.env` for its owner alone."""

import secrets
from collections.abc import Mapping
from pathlib import Path

from devstack.envfile import read_env_file, write_private_env_file

# Customary logins of the two consoles, bearable because both listen on loopback only. A variable of the same name
# chooses another one at any start.
CUSTOMARY = {
    "MINIO_ROOT_USER": "minioadmin",
    "MINIO_ROOT_PASSWORD": "minioadmin",
    "RABBITMQ_ADMIN_PASSWORD": "admin",
}
GENERATED = (
    "GATEWAY_MINIO_SECRET_KEY",
    "UPLOAD_SIGNER_SECRET_KEY",
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
)
_SECRET_BYTES = 24  # 32 characters; MinIO takes 8 to 40


def load_secrets(path: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """Return all secrets, making and storing those that the file does not have yet.

    The logins of the two consoles are the environment's, where it names them.
    """
    known = read_env_file(path) if path.exists() else {}
    chosen = {name: environment[name] for name in CUSTOMARY if environment.get(name)}
    generated = {name: secrets.token_urlsafe(_SECRET_BYTES) for name in GENERATED if name not in known}
    complete = CUSTOMARY | known | chosen | generated
    if complete != known:
        write_private_env_file(path, complete)
    return complete
