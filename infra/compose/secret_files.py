"""Writes every secret file that compose.prod.yaml asks for: random, and only what is not there yet.

The addresses that hold a password are written again from it each time: to change a password, put another into its
file (or delete it), and run this again. Needs Python alone.
"""

import argparse
import secrets
import sys
from pathlib import Path
from urllib.parse import quote

PASSWORDS = (
    "minio_root_user",  # nobody may guess root's name either: no policy limits what it may do
    "minio_root_password",
    "gateway_minio_secret_key",
    "upload_signer_secret_key",
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
    "api_keys",  # comma separated; a first one is made
    "monitoring_key",
)
# Postgres' address by role and the file of its password, under the name of the file that holds the whole.
DATABASE_URLS = {
    "migration_database_url": ("thumbmill", "postgres_password"),
    "status_tracker_database_url": ("status_tracker", "status_tracker_database_password"),
    "gateway_database_url": ("gateway", "gateway_database_password"),
}
MINIO_TARGETS = "minio_targets"
_SECRET_BYTES = 24  # 32 characters; MinIO takes 8 to 40
# The services run as other accounts than the files' owner, and Compose mounts the files as they are. On this
# machine the directory keeps everybody else out.
_DIRECTORY_MODE, _FILE_MODE = 0o700, 0o444


def main() -> int:
    """Write the files and say which are new; 1 with a message where that is not possible."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("directory", type=Path, help="SECRETS_DIR of compose.prod.yaml; made if it is not there")
    directory = parser.parse_args().directory
    try:
        made = write_secrets(directory)
    except OSError as error:
        print(f"secret_files: {error}", file=sys.stderr)
        return 1
    print(f"{directory}: {', '.join(made) or 'nothing new'}")
    return 0


def write_secrets(directory: Path) -> list[str]:
    """Make what is missing, write the addresses anew, and return the names of the made. Raises OSError."""
    directory.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
    directory.chmod(_DIRECTORY_MODE)
    made = [name for name in PASSWORDS if not (directory / name).exists()]
    for name in made:
        _write(directory / name, secrets.token_urlsafe(_SECRET_BYTES))
    for name, (role, password) in DATABASE_URLS.items():
        _write(directory / name, f"postgresql://{role}:{_read_quoted(directory / password)}@postgres/thumbmill")
    broker = f"amqp://minio:{_read_quoted(directory / 'minio_rabbitmq_password')}@rabbitmq:5672"
    targets = (f"MINIO_NOTIFY_AMQP_URL_{target}={broker}" for target in ("IMMEDIATE", "DURABLE"))
    _write(directory / MINIO_TARGETS, "\n".join(targets))
    return made


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    path.write_text(f"{text}\n", encoding="utf-8")
    path.chmod(_FILE_MODE)


def _read_quoted(path: Path) -> str:
    return quote(path.read_text(encoding="utf-8").strip(), safe="")


if __name__ == "__main__":
    sys.exit(main())
