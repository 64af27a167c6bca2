"""Settings of the gateway: the shared groups and its own environment variables."""

import ipaddress
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from thumbmill.core.service.listen_addresses import bare_host
from thumbmill.core.settings import (
    BrokerSettings,
    ServiceSettings,
    StoreSettings,
    check_http_url,
    check_postgres_url,
    secret_file,
)
from thumbmill.gateway.http.forwarded_headers import parse_networks
from thumbmill.gateway.links.signing_keys import parse_signing_keys


# ServiceSettings comes last: pydantic uses the configuration of the last base.
class Settings(StoreSettings, BrokerSettings, ServiceSettings):
    """Settings of the gateway."""

    gateway_host: str = Field(
        "127.0.0.1", description="Address or host name to listen on; `::` listens on all IPv4 and IPv6 addresses"
    )
    gateway_port: int = Field(8000, ge=1, le=65535, description="Port to listen on")
    database_url: SecretStr = Field(
        description="Postgres URL of a role that can read the views: `postgresql://user:pass@host/db`"
    )
    api_keys: SecretStr = Field(
        SecretStr(""),
        description="API keys with all scopes, comma separated; others are in the database (`thumbmill keys`)",
    )
    monitoring_key: SecretStr = Field(
        SecretStr(""),
        description="Extra key for `/metrics`, `/docs` and the details of `/readyz`; it gives no access to images",
    )
    signing_keys: SecretStr = Field(
        SecretStr(""),
        description="Keys of signed links, one `id:secret` a line: the first signs, all verify; "
        "`SIGNING_KEYS_FILE` is read again when it changes; default: no links",
    )
    signed_url_window_seconds: int = Field(
        86_400,
        ge=60,
        le=2_592_000,
        description="Time in which all signed URLs of a variant are the same; by default they are valid for one to "
        "two windows",
    )
    allow_anonymous: bool | None = Field(
        None,
        description="Access without a key when `API_KEYS` is empty: `true` allows it from any address, `false` "
        "never; default: only while the gateway listens on loopback",
    )
    public_url: str = Field(
        "",
        description="URL of the gateway as clients see it, with its path prefix if any; default: taken from each "
        "request",
    )
    trusted_proxies: str = Field(
        "127.0.0.1,::1",
        description="Proxies whose X-Forwarded-Proto, -Host, -Port and -Prefix headers are trusted when "
        "`PUBLIC_URL` is not set: addresses and networks, comma separated, or `*`",
    )
    minio_public_url: str = Field(
        "", description="URL of MinIO as clients see it, used in upload forms; default: `MINIO_URL`"
    )
    cors_allow_origins: str = Field(
        "", description="Origins whose pages may call the API from a browser, comma separated, or `*`"
    )
    allowed_hosts: str = Field(
        "",
        description=(
            "Host names that requests may use, comma separated, or `*`; addresses, names without a dot and the "
            "host of `PUBLIC_URL` are always allowed; default: any host if a key is required, else none but these"
        ),
    )
    max_connections: int = Field(
        2000, ge=10, le=50_000, description="Maximum of open connections; a new one closes the oldest idle one"
    )
    max_live_connections: int = Field(
        1000,
        ge=0,
        le=50_000,
        description="Maximum of streams, and of requests that wait for a change, together; at most half of "
        "`MAX_CONNECTIONS`, so that they never block other requests",
    )
    min_body_rate: float = Field(
        1024,
        ge=0,
        description="Minimum rate of a request body in bytes per second, measured over 30 s; a slower body gets "
        "a 408",
    )
    body_deadline_seconds: float = Field(
        900, gt=0, description="Maximum time to receive a request body; a slower body gets a 408"
    )
    max_upload_bytes: int = Field(52_428_800, ge=1, description="Maximum size of an uploaded file in bytes")
    max_concurrent_uploads: int = Field(
        32,
        ge=1,
        le=1000,
        description="Maximum of concurrent uploads; each needs about 8 MiB of memory and a thread",
    )
    upload_deadline_seconds: float = Field(
        10, gt=0, le=300, description="Timeout of one MinIO request during an upload; the client then gets a 503"
    )
    ticket_lifetime_seconds: int = Field(
        900, ge=1, le=604_800, description="How long a client can use the upload form of a ticket"
    )
    max_tickets_per_minute: int = Field(
        300, ge=0, description="Maximum of tickets per minute and client, on each gateway; 0: no limit"
    )
    max_requests_per_minute: int = Field(
        0, ge=0, description="Maximum of API requests per minute and client, on each gateway; 0: no limit"
    )
    max_bytes_per_day: int = Field(
        0,
        ge=0,
        description="Maximum of bytes that a client may upload within a day, on each gateway; 0: no limit",
    )
    retry_interval_seconds: float = Field(
        60, ge=0, description="Minimum time between a failed retry of an image and the next retry"
    )
    operator_actions: bool = Field(
        default=True,
        description="Allow clients of the API and the web console to order reconciliations and redrives",
    )
    max_queued_images: int = Field(
        0, ge=0, le=10_000_000, description="Reject uploads with a 503 while more images are waiting; 0: no limit"
    )
    max_queue_age_seconds: float = Field(
        0, ge=0, description="Reject uploads with a 503 while an image has been waiting longer; 0: no limit"
    )
    upload_signer_access_key: str = Field(
        description="Access key of the MinIO user that signs upload forms and has no other rights"
    )
    upload_signer_secret_key: SecretStr = Field(description="Secret key of that user")
    part_signer_access_key: str = Field(
        description="Access key of the MinIO user that signs parts of resumable uploads and has no other rights"
    )
    part_signer_secret_key: SecretStr = Field(description="Secret key of that user")

    @field_validator("gateway_host")
    @classmethod
    def _check_host(cls, host: str) -> str:
        return bare_host(host)

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, url: str) -> str:
        return check_http_url(url, path=True) if url else url

    @field_validator("minio_public_url")
    @classmethod
    def _check_minio_public_url(cls, url: str) -> str:
        return check_http_url(url) if url else url

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, proxies: str) -> str:
        parse_networks(_split(proxies))
        return proxies

    _check_database = field_validator("database_url")(check_postgres_url)

    @field_validator("api_keys")
    @classmethod
    def _check_keys(cls, keys: SecretStr) -> SecretStr:
        for key in _split(keys.get_secret_value()):
            if not key.isascii() or not key.isprintable() or " " in key:
                raise ValueError("a key may contain only printable ASCII characters, without spaces or commas")
        return keys

    @field_validator("signing_keys")
    @classmethod
    def _check_signing_keys(cls, keys: SecretStr) -> SecretStr:
        if (text := keys.get_secret_value()) or secret_file("SIGNING_KEYS"):  # an empty file is an error
            parse_signing_keys(text)
        return keys

    @field_validator("cors_allow_origins")
    @classmethod
    def _check_origins(cls, origins: str) -> str:
        for origin in _split(origins):
            if origin != "*":
                check_http_url(origin)
        return origins

    @model_validator(mode="after")
    def _check_access(self) -> Self:
        if not (self.requires_key or self.allow_anonymous or is_loopback(self.gateway_host)):
            raise ValueError(
                f"API_KEYS is not set, and GATEWAY_HOST={self.gateway_host} can be reached from other machines: "
                "set API_KEYS, or ALLOW_ANONYMOUS=false to require keys of `thumbmill keys`, or "
                "ALLOW_ANONYMOUS=true to allow anyone to upload, read and delete, or GATEWAY_HOST=127.0.0.1"
            )
        if "*" in self.origins and not (self.requires_key or self.allow_anonymous):
            raise ValueError(
                "CORS_ALLOW_ORIGINS=* without API_KEYS allows any page that is open in a browser to upload, read "
                "and delete: list the origins, set API_KEYS, or set ALLOW_ANONYMOUS=true to allow this"
            )
        return self

    @property
    def keys(self) -> list[str]:
        return _split(self.api_keys.get_secret_value())

    @property
    def signing_keys_file(self) -> Path | None:
        return secret_file("SIGNING_KEYS")

    @property
    def requires_key(self) -> bool:
        """Whether every client of the API needs a key."""
        return bool(self.keys) or self.allow_anonymous is False

    @property
    def proxies(self) -> list[str]:
        return _split(self.trusted_proxies)

    @property
    def origins(self) -> list[str]:
        """Allowed origins as browsers send them: in lower case, without a trailing slash."""
        return [origin.rstrip("/").lower() for origin in _split(self.cors_allow_origins)]

    @property
    def hosts(self) -> frozenset[str] | None:
        """Allowed names in a Host header; None allows any."""
        names = {name.lower() for name in _split(self.allowed_hosts)}
        if "*" in names or (self.requires_key and not names):
            return None
        return frozenset({*names, urlsplit(self.public_url).hostname or "localhost"})

    @property
    def trusted_origins(self) -> frozenset[str]:
        """Origins whose pages may send requests that change something."""
        own = urlsplit(self.public_url)
        return frozenset({*(origin.lower() for origin in self.origins), f"{own.scheme}://{own.netloc}".lower()})

    @property
    def live_connections(self) -> int:
        return min(self.max_live_connections, self.max_connections // 2)

    @property
    def form_url(self) -> str:
        """URL of MinIO in upload forms."""
        return self.minio_public_url or self.minio_url

    @property
    def signer(self) -> StoreSettings:
        """Connection settings of the MinIO user that signs upload forms."""
        return self._store_as(self.upload_signer_access_key, self.upload_signer_secret_key)

    @property
    def part_signer(self) -> StoreSettings:
        """Connection settings of the MinIO user that signs parts."""
        return self._store_as(self.part_signer_access_key, self.part_signer_secret_key)

    def _store_as(self, access_key: str, secret_key: SecretStr) -> StoreSettings:
        return StoreSettings(
            minio_url=self.minio_url,
            minio_access_key=access_key,
            minio_secret_key=secret_key,
            minio_region=self.minio_region,
        )


def is_loopback(host: str) -> bool:
    """Return whether an address accepts connections only from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
