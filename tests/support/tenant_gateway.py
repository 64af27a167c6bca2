"""The gateway for tests: the header ``X-Tenant`` names the tenant of a client, which has all scopes."""

from starlette.datastructures import Headers

from thumbmill.gateway import __main__ as gateway
from thumbmill.gateway.access.principal import Client, Principal

create_app = gateway.create_app


def create(services):
    app = create_app(services)

    async def as_tenant(scope, receive, send):
        if scope["type"] == "http":
            tenant = Headers(scope=scope).get("x-tenant", "")
            scope.setdefault("state", {})["client"] = Client(Principal(f"a client of {tenant}", tenant=tenant))
        await app(scope, receive, send)

    return as_tenant


if __name__ == "__main__":
    gateway.create_app = create
    gateway.main()
