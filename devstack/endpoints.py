"""The addresses and logins of one installation, for the output of `up` and for tests."""

from dataclasses import dataclass

from devstack.installation import Installation
from devstack.postgres import OWNER, database_url

_DATABASE_SECRETS = {
    OWNER: "POSTGRES_PASSWORD",
    "status_tracker": "STATUS_TRACKER_DATABASE_PASSWORD",
    "gateway": "GATEWAY_DATABASE_PASSWORD",
    "key_keeper": "KEY_KEEPER_DATABASE_PASSWORD",
}


@dataclass(frozen=True)
class Endpoints:
    """URLs on loopback, without a trailing slash."""

    installation: Installation

    @property
    def gateway(self) -> str:
        """The API."""
        return self._http("GATEWAY_PORT")

    @property
    def minio(self) -> str:
        """The S3 API; root's login is `root_keys`."""
        return self._http("MINIO_PORT")

    @property
    def minio_console(self) -> str:
        """MinIO's web interface."""
        return self._http("MINIO_CONSOLE_PORT")

    @property
    def rabbitmq_management(self) -> str:
        """RabbitMQ's web interface and HTTP API; the user is admin."""
        return self._http("RABBITMQ_MANAGEMENT_PORT")

    @property
    def root_keys(self) -> tuple[str, str]:
        """MinIO's administrator: access key and secret key."""
        return self.installation.secrets["MINIO_ROOT_USER"], self.installation.secrets["MINIO_ROOT_PASSWORD"]

    @property
    def s3_uploader_keys(self) -> tuple[str, str]:
        """The access key and secret key of the user for other programs that upload by S3."""
        return "s3-uploader", self.installation.secrets["S3_UPLOADER_SECRET_KEY"]

    def database(self, role: str = OWNER) -> str:
        """Return the database's URL with the login of thumbmill (the owner) or of another role."""
        return database_url(self.installation, role, self.installation.secrets[_DATABASE_SECRETS[role]])

    def _http(self, variable: str) -> str:
        return f"http://127.0.0.1:{self.installation.ports[variable]}"
