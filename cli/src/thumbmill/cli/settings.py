"""The operator's settings: environment variables, and for what they leave open a file that ``make up`` writes."""

import getpass
import os
from typing import Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource

from thumbmill.core.messaging.topology import IMAGE_QUEUE
from thumbmill.core.settings import BrokerSettings, ServiceSettings, SettingsError, check_http_url, load

Level = Literal["debug", "info", "warning", "error"]
ENV_FILE = ".local/operator.env"  # below the directory that the command is started in


def _find_login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as containers have them
        return "unknown"


class Settings(BrokerSettings, ServiceSettings):
    """What ``thumbmill`` needs to know."""

    log_level: Level = Field("warning", description="Least level logged")
    rabbitmq_user: str = Field("operator", description="This service's RabbitMQ user")
    rabbitmq_queue: str = Field(IMAGE_QUEUE, description="The queue of images to be made")
    status_tracker_url: str = Field(
        "http://127.0.0.1:8002", description="The status tracker's side port, as the operator reaches it"
    )
    thumbmill_operator: str = Field(
        default_factory=_find_login,
        min_length=1,
        description="Who you are, as the timeline will say; default: your login",
    )

    _check = field_validator("status_tracker_url")(check_http_url)

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *sources: Any, **more: Any
    ) -> tuple[Any, ...]:
        path = os.environ.get("THUMBMILL_ENV_FILE") or ENV_FILE
        written = DotEnvSettingsSource(settings_cls, env_file=path, env_ignore_empty=True)
        return *super().settings_customise_sources(settings_cls, *sources, **more), written


def load_settings() -> Settings:
    """Read the environment and the file. Raises SettingsError that says what to set."""
    try:
        return load(Settings)
    except SettingsError as fault:
        hint = f"(beside a running `make up` start this in the checkout, where {ENV_FILE} has all of it)"
        raise SettingsError(f"{fault}\n{hint}") from fault
