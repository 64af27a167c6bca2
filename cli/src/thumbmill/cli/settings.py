"""The operator's settings: environment variables, then the file that ``make up`` writes."""

import getpass
import os
from typing import Any, Literal, TypeVar

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource

from thumbmill.core.messaging.topology import IMAGE_QUEUE
from thumbmill.core.settings import (
    BrokerSettings,
    ConsumerSettings,
    ServiceSettings,
    SettingsError,
    StoreSettings,
    check_http_url,
    check_postgres_url,
    load,
)

S = TypeVar("S", bound=ServiceSettings)
Level = Literal["debug", "info", "warning", "error"]
ENV_FILE = ".local/operator.env"  # relative to the working directory


def _find_login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as in containers
        return "unknown"


def describe(settings: type[BaseSettings], name: str) -> str | None:
    """Return the description of a setting that the services have too."""
    return settings.model_fields[name].description


class OperatorSettings(ServiceSettings):
    """What all commands need."""

    log_level: Level = Field("warning", description=describe(ServiceSettings, "log_level"))
    thumbmill_operator: str = Field(
        default_factory=_find_login,
        min_length=1,
        description="Your name in timelines and histories; default: your login name",
    )

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *sources: Any, **more: Any
    ) -> tuple[Any, ...]:
        path = os.environ.get("THUMBMILL_ENV_FILE") or ENV_FILE
        env_file = DotEnvSettingsSource(settings_cls, env_file=path, env_ignore_empty=True)
        return *super().settings_customise_sources(settings_cls, *sources, **more), env_file


class Settings(BrokerSettings, OperatorSettings):
    """The settings of the commands for the running system."""

    rabbitmq_user: str = Field("operator", description=describe(BrokerSettings, "rabbitmq_user"))
    rabbitmq_queue: str = Field(IMAGE_QUEUE, description=describe(ConsumerSettings, "rabbitmq_queue"))
    status_tracker_url: str = Field("http://127.0.0.1:8002", description="URL of the status tracker's admin port")
    _check = field_validator("status_tracker_url")(check_http_url)


class KeySettings(OperatorSettings):
    """The settings of ``thumbmill keys``."""

    key_keeper_database_url: SecretStr = Field(
        description="Postgres URL of the role that writes API keys: `postgresql://key_keeper:pass@host/db`"
    )

    _check_database = field_validator("key_keeper_database_url")(check_postgres_url)


class TenantSettings(OperatorSettings):
    """The settings of ``thumbmill tenants``."""

    minio_url: str = Field("http://127.0.0.1:9000", description=describe(StoreSettings, "minio_url"))
    minio_root_user: SecretStr = Field(description="MinIO's root user, who alone may create others")
    minio_root_password: SecretStr = Field(description="Its password")

    _check_minio = field_validator("minio_url")(check_http_url)


def load_settings() -> Settings:
    """Load the settings of the commands for the running system. Raise SettingsError as load_from_file does."""
    return load_from_file(Settings)


def load_from_file(settings: type[S]) -> S:
    """Load the environment and the file. Raise SettingsError with the names of the missing settings."""
    try:
        return load(settings)
    except SettingsError as error:
        hint = f"(for a running `make up`, start thumbmill in its checkout: {ENV_FILE} contains these settings)"
        raise SettingsError(f"{error}\n{hint}") from error
