"""The passwords of one installation: made at the first start, kept in `secrets.env` for its owner alone."""

import secrets
from pathlib import Path

from local.envfile import read_env_file, write_private_env_file

# Customary logins of the two consoles, bearable because both listen on loopback only.
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


def load_secrets(path: Path) -> dict[str, str]:
    """Return all secrets, making and storing those that the file does not have yet."""
    known = read_env_file(path) if path.exists() else {}
    missing = {name: value for name, value in CUSTOMARY.items() if name not in known}
    missing |= {name: secrets.token_urlsafe(_SECRET_BYTES) for name in GENERATED if name not in known}
    if missing:
        write_private_env_file(path, known | missing)
    return known | missing
