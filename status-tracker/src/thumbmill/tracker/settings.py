"""The tracker's settings: environment variables."""

from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from thumbmill.core.settings import ConsumerSettings, ServiceSettings, StoreSettings, check_postgres_url


class Settings(StoreSettings, ConsumerSettings, ServiceSettings):
    """The settings of ``status-tracker run``."""

    health_port: int = Field(
        8002, ge=1, le=65535, description="Admin port: probes, metrics and operators' requests"
    )
    database_url: SecretStr = Field(description="Postgres, as `status_tracker`: postgresql://user:password@host/db")
    tracker_batch_size: int = Field(100, ge=1, le=1000, description="Maximum number of messages in one transaction")
    sweep_interval_seconds: float = Field(10, gt=0, description="How often unprocessed images are searched for")
    sweep_after_seconds: float = Field(60, gt=0, description="How long an image may stay unprocessed")

    heartbeat_interval_seconds: float = Field(
        15, gt=0, description="How often an object is stored that both notification targets must announce"
    )
    accept_unnamed_events: bool = Field(
        default=False,
        description="Accept lifecycle events that do not name their RabbitMQ user: for an upgrade from a version "
        "that named none, until its messages are handled",
    )

    deleted_retention_seconds: float = Field(
        2_592_000, gt=0, description="How long a deleted image is reported as DELETED before its ID is unknown"
    )
    expired_retention_seconds: float = Field(
        86_400, gt=0, description="How long an unused ticket is reported as EXPIRED before its ID is unknown"
    )
    events_keep_days: float | None = Field(
        None,
        gt=0,
        description="How long events stay in timelines, in whole days at least; no limit by default. Not less than "
        "`DELETED_RETENTION_SECONDS`",
    )
    changes_keep_days: float = Field(
        14, gt=0, description="How long changes stay in the feed; a client that was away for longer starts over"
    )
    form_overwrite: bool = Field(
        default=False, description="Let a used form store another file in place of the first"
    )

    reconcile_interval_seconds: float = Field(
        300, gt=0, description="Pause between two comparisons of the buckets with the rows"
    )
    reconcile_objects_per_minute: int = Field(
        60_000, ge=1, description="How many objects are compared per minute, by all trackers together"
    )
    reconcile_after_seconds: float = Field(
        600,
        gt=0,
        description="How long an image may make no progress, and how old a variant must be that no row names",
    )

    _check = field_validator("database_url")(check_postgres_url)

    @model_validator(mode="after")
    def _check_retention(self) -> Self:
        days = self.events_keep_days
        if days is not None and days * 86_400 < self.deleted_retention_seconds:
            raise ValueError("EVENTS_KEEP_DAYS must not be less than DELETED_RETENTION_SECONDS")
        return self


class MigrationSettings(ServiceSettings):
    """The settings of ``status-tracker migrate``."""

    migration_database_url: SecretStr = Field(description="Postgres, as the owner of the schema")

    _check = field_validator("migration_database_url")(check_postgres_url)
