"""Settings: environment variables, validated once at start; each error names its variable.

A service's ``settings.py`` combines the groups here. Any variable X may instead be given as a file named by X_FILE,
which is how secrets are passed.
"""

import os
import re
import sys
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from thumbmill.core.messaging.topology import IMAGE_QUEUE

# The value of NAME_PORT that Kubernetes derives from a Service called `name` (docs: "Accessing the Service").
_SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://[^/]+:\d+$")
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+/?")


class SettingsError(Exception):
    """An error of the environment; its text has one line per variable."""


class FileSuffixSettingsSource(PydanticBaseSettingsSource):
    """Reads a variable X from the file that X_FILE names, a convention of Docker's official images."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Return the file's content, or None. Raise SettingsError if the file cannot be read, or X is set too."""
        variable = field_name.upper()
        path = os.environ.get(f"{variable}_FILE")
        if not path:
            return None, field_name, False
        if os.environ.get(variable):
            raise SettingsError(f"{variable} and {variable}_FILE are both set: keep one")
        try:
            return Path(path).read_text().strip(), field_name, False
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{variable}_FILE: cannot read {path}: {error}") from error

    def __call__(self) -> dict[str, Any]:
        fields = self.settings_cls.model_fields.items()
        values = {name: self.get_field_value(field, name)[0] for name, field in fields}
        return {name: value for name, value in values.items() if value is not None}


def secret_file(variable: str) -> Path | None:
    """Return the file that X_FILE names for a variable X, to read it again when it changes."""
    path = os.environ.get(f"{variable}_FILE")
    return Path(path) if path else None


class ServiceSettings(BaseSettings):
    """Settings of every service. An empty variable counts as unset, so compose files can pass on all of them."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level that is logged"
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="`json`, `console`, or `auto`: readable on a terminal, else JSON"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, FileSuffixSettingsSource(settings_cls)


class StoreSettings(BaseSettings):
    """The address of MinIO, and this service's credentials."""

    minio_url: str = Field("http://127.0.0.1:9000", description="MinIO's S3 address, as services reach it")
    minio_access_key: str = Field(description="This service's MinIO user")
    minio_secret_key: SecretStr = Field(description="Secret key of that user")
    minio_region: str = Field("us-east-1", description="The region that requests are signed for")

    @field_validator("minio_url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        return check_http_url(url)


class BrokerSettings(BaseSettings):
    """The address of RabbitMQ, and this service's credentials."""

    rabbitmq_host: str = Field("127.0.0.1", description="RabbitMQ's host")
    rabbitmq_port: int = Field(5672, ge=1, le=65535, description="RabbitMQ's AMQP port")
    rabbitmq_vhost: str = Field("/", description="RabbitMQ's virtual host")
    rabbitmq_user: str = Field(description="This service's RabbitMQ user")
    rabbitmq_password: SecretStr = Field(description="Password of that user")


class ConsumerSettings(BrokerSettings):
    """Settings of a service that consumes messages."""

    rabbitmq_queue: str = Field(
        IMAGE_QUEUE, pattern=r"^[A-Za-z0-9_.-]{1,100}$", description="The thumbnailer's work queue"
    )
    health_host: str = Field("127.0.0.1", description="Address of the admin port for health checks and metrics")
    stop_grace_seconds: float = Field(20, gt=0, description="How long running handlers may take when stopping")


def check_http_url(url: str, *, path: bool = False) -> str:
    """Return a URL ``http(s)://host[:port]`` without a final slash; ``path`` allows one. Raise ValueError."""
    parts = urlsplit(url)
    wanted = "http://host:port or https://host:port" + (", optionally with a path" if path else "")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"must have the form {wanted}")
    if parts.path.strip("/") and not (path and _PATH.fullmatch(parts.path)):
        raise ValueError(f"must have the form {wanted}")
    return url.rstrip("/")


def check_postgres_url(url: SecretStr) -> SecretStr:
    """Return a URL with the scheme of Postgres. Raise ValueError for any other."""
    if not url.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("must have the form postgresql://user:password@host:port/database")
    return url


S = TypeVar("S", bound=ServiceSettings)


def load(settings: type[S]) -> S:
    """Read the environment. Raise SettingsError, which names every wrong variable."""
    try:
        return settings()  # type: ignore[call-arg] # the environment has them
    except ValidationError as invalid:
        lines = [f"{_variable(error['loc'])}: {_problem(error)}" for error in invalid.errors(include_url=False)]
        raise SettingsError("\n".join(lines)) from invalid


def load_or_exit(settings: type[S]) -> S:
    """Read the environment, or print what is wrong with it and exit with code 2."""
    try:
        return load(settings)
    except SettingsError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"settings: {line}\n")
        sys.exit(2)


def masked(settings: BaseSettings) -> dict[str, Any]:
    """Return the effective settings for the log; secrets appear as asterisks."""
    return {name.upper(): str(value) for name, value in settings if value not in (None, "")}


def _variable(location: tuple[int | str, ...]) -> str:
    return str(location[0]).upper() if location else "environment"


def _problem(error: Any) -> str:
    if error["type"] == "missing":
        return "is required and not set"
    if _SERVICE_LINK.match(str(error["input"])):
        return (
            f"{error['input']} comes from Kubernetes, which sets it in each Pod for a Service of that name. "
            "Set `enableServiceLinks: false` in the Pod's spec, or set the variable there"
        )
    return str(error["msg"]).removeprefix("Value error, ")
