"""Who sends a request, and what it may do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from thumbmill.core.contracts.api_keys import Scope
from thumbmill.core.contracts.tenants import DEFAULT_TENANT

__all__ = ["ALL_SCOPES", "ANONYMOUS", "MONITORING", "Client", "Principal", "Scope"]

ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True)
class Principal:
    """A client that may use the API."""

    name: str  # "" for anonymous access
    key_id: str | None = None  # None for anonymous access
    tenant: str = DEFAULT_TENANT
    scopes: frozenset[Scope] = ALL_SCOPES
    limits: Mapping[str, int] = field(default_factory=dict)  # by policy; others have the limits of the settings

    def has(self, scope: Scope) -> bool:
        """Return whether it has a scope. ``admin`` is about all tenants, so no principal of one of them has it."""
        return scope in self.scopes and not (scope is Scope.ADMIN and self.tenant)


ANONYMOUS = Principal("")
MONITORING = Principal("monitoring", scopes=frozenset({Scope.ADMIN}))  # MONITORING_KEY, for operator data alone


@dataclass(frozen=True)
class Client:
    """A principal, and how it was identified."""

    principal: Principal
    session_expires_at: datetime | None = None  # set if it showed no key, but a session
