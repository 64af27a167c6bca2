"""The gateway's settings: the shared groups and its own variables."""

import ipaddress
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
)
from thumbmill.gateway.http.proxies import parse_networks


# ServiceSettings comes last: pydantic takes the configuration of the last base.
class Settings(StoreSettings, BrokerSettings, ServiceSettings):
    """What the gateway takes."""

    gateway_host: str = Field(
        "127.0.0.1", description="Address or name to listen on; `::` is every one, of IPv4 and of IPv6"
    )
    gateway_port: int = Field(8000, ge=1, le=65535, description="Port to listen on")
    database_url: SecretStr = Field(description="Postgres, as a role that reads: `postgresql://user:pass@host/db`")
    api_keys: SecretStr = Field(
        SecretStr(""), description="Keys that clients may show, comma separated; without one, loopback only"
    )
    monitoring_key: SecretStr = Field(
        SecretStr(""),
        description="One more key, which opens `/metrics`, `/docs` and the faults in `/readyz` and no more",
    )
    allow_anonymous: bool = Field(
        default=False, description="Serve everybody, on any address, though there are no `API_KEYS`"
    )
    public_url: str = Field(
        "",
        description="The gateway's address as clients see it, with a path if it has one; else each request's",
    )
    trusted_proxies: str = Field(
        "127.0.0.1,::1",
        description="Proxies whose X-Forwarded-Proto, -Host, -Port and -Prefix are believed where `PUBLIC_URL` is "
        "not set: addresses and networks, comma separated, or `*`",
    )
    minio_public_url: str = Field("", description="MinIO's address as clients see it, for forms; else `MINIO_URL`")
    cors_allow_origins: str = Field("", description="Origins whose pages may call the API, comma separated, or `*`")
    allowed_hosts: str = Field(
        "",
        description=(
            "Names by which clients may call the gateway, comma separated, beside addresses, names without a dot "
            "and `PUBLIC_URL`'s, or `*`; with `API_KEYS`, where none are given, any"
        ),
    )
    max_connections: int = Field(
        1000, ge=10, le=50_000, description="Connections open at once; the oldest idle one makes room for a new one"
    )
    min_body_rate: float = Field(
        1024,
        ge=0,
        description="Bytes a second that a request's body must bring, over half a minute, or it gets a 408",
    )
    body_deadline_seconds: float = Field(
        900, gt=0, description="How long we wait for all of a request's body before it gets a 408"
    )
    max_upload_bytes: int = Field(52_428_800, ge=1, description="Largest file that is taken, in bytes")
    max_concurrent_uploads: int = Field(
        32, ge=1, le=1000, description="Uploads taken at once; each needs about 8 MiB of memory and a thread"
    )
    upload_deadline_seconds: float = Field(
        10, gt=0, le=300, description="How long MinIO may take to answer one request before the client gets a 503"
    )
    ticket_lifetime_seconds: int = Field(
        900, ge=1, le=604_800, description="How long the form of a ticket can be used"
    )
    max_tickets_per_minute: int = Field(
        300, ge=0, description="How many forms a client, known by its key, may have in a minute; 0: any number"
    )
    retry_interval_seconds: float = Field(
        60, ge=0, description="How long an image that failed once more is not tried again"
    )
    max_queued_images: int = Field(
        0, ge=0, le=10_000_000, description="How many images may wait before new ones get a 503; 0: any number"
    )
    max_queue_age_seconds: float = Field(
        0, ge=0, description="How long an image may wait before new ones get a 503; 0: any time"
    )
    upload_signer_access_key: str = Field(description="The MinIO user that signs forms and can do nothing else")
    upload_signer_secret_key: SecretStr = Field(description="Its secret")

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
                raise ValueError("a key is made of printable ASCII characters other than space and comma")
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
        if not (self.keys or self.allow_anonymous or is_loopback(self.gateway_host)):
            raise ValueError(
                f"API_KEYS is not set, and GATEWAY_HOST={self.gateway_host} can be reached from elsewhere: "
                "set API_KEYS, or ALLOW_ANONYMOUS=true if everybody may upload, read and delete, "
                "or GATEWAY_HOST=127.0.0.1"
            )
        if "*" in self.origins and not (self.keys or self.allow_anonymous):
            raise ValueError(
                "CORS_ALLOW_ORIGINS=* without API_KEYS lets every page that somebody opens here upload, read and "
                "delete: name the origins, set API_KEYS, or ALLOW_ANONYMOUS=true if that is meant"
            )
        return self

    @property
    def keys(self) -> list[str]:
        return _split(self.api_keys.get_secret_value())

    @property
    def proxies(self) -> list[str]:
        return _split(self.trusted_proxies)

    @property
    def origins(self) -> list[str]:
        """As browsers write them: in lower case, without a slash behind."""
        return [origin.rstrip("/").lower() for origin in _split(self.cors_allow_origins)]

    @property
    def hosts(self) -> frozenset[str] | None:
        """Names that a request's Host may have; None for any."""
        names = {name.lower() for name in _split(self.allowed_hosts)}
        if "*" in names or (self.keys and not names):
            return None
        return frozenset({*names, urlsplit(self.public_url).hostname or "localhost"})

    @property
    def trusted_origins(self) -> frozenset[str]:
        """Origins whose pages may change something."""
        own = urlsplit(self.public_url)
        return frozenset({*(origin.lower() for origin in self.origins), f"{own.scheme}://{own.netloc}".lower()})

    @property
    def form_url(self) -> str:
        """MinIO's address in the forms that clients send to it."""
        return self.minio_public_url or self.minio_url

    @property
    def signer(self) -> StoreSettings:
        """MinIO as the user that signs forms."""
        return StoreSettings(
            minio_url=self.minio_url,
            minio_access_key=self.upload_signer_access_key,
            minio_secret_key=self.upload_signer_secret_key,
            minio_region=self.minio_region,
        )


def is_loopback(host: str) -> bool:
    """Tell whether an address can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
