"""Settings: environment variables, checked once at start, each fault naming its variable.

A service's ``settings.py`` puts its own class together from the groups here. Any variable may also be given as a
file by the same name with ``_FILE`` behind it, which is how secrets come in.
"""

import os
import re
import sys
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from thumbmill.core.messaging.topology import IMAGE_QUEUE

# The value of NAME_PORT that Kubernetes derives from a Service called `name` (docs: "Accessing the Service").
_SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://[^/]+:\d+$")


_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+/?")


class SettingsError(Exception):
    """What is wrong with the environment, a line for each variable."""


def _read_files(names: list[str]) -> dict[str, str]:
    """Read the variables that are given as files. Raises SettingsError for a file that can't be read."""
    values = {}
    for name in names:
        path = os.environ.get(f"{name}_FILE")
        if not path:
            continue
        if os.environ.get(name):
            raise SettingsError(f"{name} and {name}_FILE are both set: keep one")
        try:
            values[name.lower()] = Path(path).read_text().strip()
        except (OSError, UnicodeDecodeError) as fault:
            raise SettingsError(f"{name}_FILE: cannot read {path}: {fault}") from fault
    return values


class ServiceSettings(BaseSettings):
    """What every service takes. An empty variable counts as not set, so that compose files can pass all on."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged")
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
    ) -> tuple[Any, ...]:
        names = [name.upper() for name in cls.model_fields]
        return init_settings, env_settings, lambda: _read_files(names)


class StoreSettings(BaseSettings):
    """Where MinIO is, and as whom this service speaks to it."""

    minio_url: str = Field("http://127.0.0.1:9000", description="MinIO's S3 address, as services reach it")
    minio_access_key: str = Field(description="This service's MinIO user")
    minio_secret_key: SecretStr = Field(description="Its secret")
    minio_region: str = Field("us-east-1", description="The region that requests are signed for")

    @field_validator("minio_url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        return check_http_url(url)


class BrokerSettings(BaseSettings):
    """Where RabbitMQ is, and as whom this service speaks to it."""

    rabbitmq_host: str = Field("127.0.0.1", description="RabbitMQ's host")
    rabbitmq_port: int = Field(5672, ge=1, le=65535, description="RabbitMQ's AMQP port")
    rabbitmq_vhost: str = Field("/", description="RabbitMQ's virtual host")
    rabbitmq_user: str = Field(description="This service's RabbitMQ user")
    rabbitmq_password: SecretStr = Field(description="Its password")


class ConsumerSettings(BrokerSettings):
    """What a consuming service takes beside its connection."""

    rabbitmq_queue: str = Field(
        IMAGE_QUEUE, pattern=r"^[A-Za-z0-9_.-]{1,100}$", description="The queue of images to be made"
    )
    health_host: str = Field("127.0.0.1", description="Address of the side port for probes and metrics")
    stop_grace_seconds: float = Field(20, gt=0, description="How long work in hand may take to end when stopping")


def check_http_url(url: str, *, path: bool = False) -> str:
    """Accept ``http(s)://host[:port]``, and a path behind it where there may be one. Raises ValueError."""
    parts = urlsplit(url)
    wanted = "http://host:port or https://host:port" + (", with a path behind it if need be" if path else "")
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError(f"give it as {wanted}")
    if parts.path.strip("/") and not (path and _PATH.fullmatch(parts.path)):
        raise ValueError(f"give it as {wanted}")
    return url.rstrip("/")


def check_postgres_url(url: SecretStr) -> SecretStr:
    """Accept what begins as an address of Postgres does. Raises ValueError."""
    if not url.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("give it as postgresql://user:password@host:port/database")
    return url


S = TypeVar("S", bound=ServiceSettings)


def load(settings: type[S]) -> S:
    """Read the environment. Raises SettingsError that names every variable at fault."""
    try:
        return settings()  # type: ignore[call-arg] # the environment gives them
    except ValidationError as fault:
        lines = [f"{_variable(error['loc'])}: {_complaint(error)}" for error in fault.errors(include_url=False)]
        raise SettingsError("\n".join(lines)) from fault


def load_or_exit(settings: type[S]) -> S:
    """Read the environment, or say what is wrong with it and exit with code 2."""
    try:
        return load(settings)
    except SettingsError as fault:
        for line in str(fault).splitlines():
            sys.stderr.write(f"settings: {line}\n")
        sys.exit(2)


def masked(settings: BaseSettings) -> dict[str, Any]:
    """Give the effective settings for the log; secrets show as stars."""
    return {name.upper(): str(value) for name, value in settings if value not in (None, "")}


def _variable(location: tuple[int | str, ...]) -> str:
    return str(location[0]).upper() if location else "environment"


def _complaint(error: Any) -> str:
    if error["type"] == "missing":
        return "is required and not set"
    if _SERVICE_LINK.match(str(error["input"])):
        return (
            f"{error['input']} is no setting of yours: Kubernetes puts it into each Pod for a Service of that "
            "name. Say `enableServiceLinks: false` in the Pod's spec, or set the variable there"
        )
    return str(error["msg"]).removeprefix("Value error, ")
