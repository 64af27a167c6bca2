"""Write the secret files that compose.prod.yaml needs, with random values; existing secrets stay.

URLs that contain a password are written again each time: to change a password, edit or delete its file and run this
again. Needs only Python.
"""

import argparse
import secrets
import sys
from pathlib import Path
from urllib.parse import quote

SIGNING_KEYS = "signing_keys"  # of links, one `id:secret` a line
PASSWORDS = (
    "minio_root_user",  # random too, since no policy limits root
    "minio_root_password",
    "gateway_minio_secret_key",
    "upload_signer_secret_key",
    "part_signer_secret_key",
    "thumbnailer_minio_secret_key",
    "status_tracker_minio_secret_key",
    "s3_uploader_secret_key",
    "rabbitmq_admin_password",
    "minio_rabbitmq_password",
    "gateway_rabbitmq_password",
    "thumbnailer_rabbitmq_password",
    "status_tracker_rabbitmq_password",
    "operator_rabbitmq_password",
    "postgres_password",
    "status_tracker_database_password",
    "gateway_database_password",
    "key_keeper_database_password",
    "api_keys",  # comma separated; the first one is generated
    "monitoring_key",
    SIGNING_KEYS,
)
# File name -> the role of the Postgres URL in it, and the file of the role's password.
DATABASE_URLS = {
    "migration_database_url": ("thumbmill", "postgres_password"),
    "status_tracker_database_url": ("status_tracker", "status_tracker_database_password"),
    "gateway_database_url": ("gateway", "gateway_database_password"),
    "key_keeper_database_url": ("key_keeper", "key_keeper_database_password"),
}
MINIO_TARGETS = "minio_targets"
_SECRET_BYTES = 24  # 32 characters; MinIO accepts 8 to 40
# The services run as other accounts than the files' owner, and Compose mounts the files with their modes. On this
# machine the directory's mode protects them.
_DIRECTORY_MODE, _FILE_MODE = 0o700, 0o444


def main() -> int:
    """Write the files and print the names of the new ones; return 1 with a message if that fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", type=Path, help="SECRETS_DIR of compose.prod.yaml; created if missing")
    directory = parser.parse_args().directory
    try:
        created = write_secrets(directory)
    except OSError as error:
        print(f"secret_files: {error}", file=sys.stderr)
        return 1
    print(f"{directory}: {', '.join(created) or 'all secrets exist already'}")
    return 0


def write_secrets(directory: Path) -> list[str]:
    """Create the missing secrets, rewrite the URLs, and return the names of the new secrets. Raise OSError."""
    directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
    directory.chmod(_DIRECTORY_MODE)
    created = [name for name in PASSWORDS if not (directory / name).exists()]
    for name in created:
        key_id = "1:" if name == SIGNING_KEYS else ""
        _write(directory / name, key_id + secrets.token_urlsafe(_SECRET_BYTES))
    for name, (role, password) in DATABASE_URLS.items():
        _write(directory / name, f"postgresql://{role}:{_read_quoted(directory / password)}@postgres/thumbmill")
    broker = f"amqp://minio:{_read_quoted(directory / 'minio_rabbitmq_password')}@rabbitmq:5672"
    targets = (f"MINIO_NOTIFY_AMQP_URL_{target}={broker}" for target in ("IMMEDIATE", "DURABLE"))
    _write(directory / MINIO_TARGETS, "\n".join(targets))
    return created


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(f"{text}\n", encoding="utf-8")
    path.chmod(_FILE_MODE)


def _read_quoted(path: Path) -> str:
    return quote(path.read_text(encoding="utf-8").strip(), safe="")


if __name__ == "__main__":
    sys.exit(main())
