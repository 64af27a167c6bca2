"""Who sends a request, and what it may do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from thumbmill.core.contracts.tenants import DEFAULT_TENANT


class Scope(StrEnum):
    """What a key may be used for. Every route of the API needs one of these, or declares that it is public."""

    UPLOAD = "upload"
    READ = "read"
    DELETE = "delete"
    SIGN = "sign"
    FETCH = "fetch"
    ADMIN = "admin"


ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True)
class Principal:
    """A client that may use the API."""

    name: str  # "" for anonymous access
    key_id: str | None = None  # None for anonymous access
    tenant: str = DEFAULT_TENANT
    scopes: frozenset[Scope] = ALL_SCOPES
    limits: Mapping[str, int] = field(default_factory=dict)  # by policy; others have the limits of the settings


ANONYMOUS = Principal("")
