"""Where one installation answers, and with which logins: for the banner of `up` and for tests."""

from dataclasses import dataclass
from urllib.parse import quote

from devstack.installation import Installation
from devstack.postgres import OWNER, database_url

_DATABASE_SECRETS = {
    OWNER: "POSTGRES_PASSWORD",
    "status_tracker": "STATUS_TRACKER_DATABASE_PASSWORD",
    "gateway": "GATEWAY_DATABASE_PASSWORD",
}


@dataclass(frozen=True)
class Endpoints:
    """URLs without a slash at the end, all on loopback."""

    installation: Installation

    @property
    def gateway(self) -> str:
        """The API."""
        return self._http("GATEWAY_PORT")

    @property
    def thumbnailer_health(self) -> str:
        """The thumbnailer's /livez, /readyz and /metrics."""
        return self._http("THUMBNAILER_HEALTH_PORT")

    @property
    def status_tracker_health(self) -> str:
        """The status tracker's /livez, /readyz and /metrics."""
        return self._http("STATUS_TRACKER_HEALTH_PORT")

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
        """RabbitMQ's web interface and HTTP API; the login is admin and `rabbitmq_password("admin")`."""
        return self._http("RABBITMQ_MANAGEMENT_PORT")

    @property
    def root_keys(self) -> tuple[str, str]:
        """MinIO's administrator: access key and secret key."""
        return self.installation.secrets["MINIO_ROOT_USER"], self.installation.secrets["MINIO_ROOT_PASSWORD"]

    def minio_keys(self, user: str) -> tuple[str, str]:
        """Return the access key and secret key of a service, of upload-signer or of s3-uploader."""
        prefix = user.upper().replace("-", "_")
        is_service = user in ("gateway", "thumbnailer", "status-tracker")
        name = f"{prefix}_MINIO_SECRET_KEY" if is_service else f"{prefix}_SECRET_KEY"
        return user, self.installation.secrets[name]

    def rabbitmq_password(self, user: str) -> str:
        """Return the password of admin, minio, gateway, thumbnailer, status-tracker or operator."""
        prefix = user.upper().replace("-", "_")
        return self.installation.secrets[
            "RABBITMQ_ADMIN_PASSWORD" if user == "admin" else f"{prefix}_RABBITMQ_PASSWORD"
        ]

    def amqp(self, user: str = "admin") -> str:
        """Return the broker's URL with the user's login."""
        password = quote(self.rabbitmq_password(user), safe="")
        return f"amqp://{user}:{password}@127.0.0.1:{self.installation.ports['RABBITMQ_PORT']}/%2F"

    def database(self, role: str = OWNER) -> str:
        """Return the database's URL with the login of thumbmill (the owner), status_tracker or gateway."""
        return database_url(self.installation, role, self.installation.secrets[_DATABASE_SECRETS[role]])

    def _http(self, variable: str) -> str:
        return f"http://127.0.0.1:{self.installation.ports[variable]}"
