"""Whether a principal has the scopes that a request needs."""

from collections.abc import Collection

from thumbmill.gateway.access.principal import Principal, Scope
from thumbmill.gateway.problems import Code, Problem


def require_scopes(principal: Principal, needed: Collection[Scope]) -> None:
    """Raise Problem (403) unless the principal has all of these scopes."""
    if missing := [scope for scope in needed if not principal.has(scope)]:
        names = " ".join(needed)
        raise Problem(
            Code.INSUFFICIENT_SCOPE,
            f"this needs the scope {' and '.join(missing)}",
            headers={"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{names}"'},
            scope=names,
        )
