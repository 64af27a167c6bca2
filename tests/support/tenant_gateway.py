"""The gateway for tests: the header ``X-Tenant`` names the tenant of a client, which has all scopes."""

from fastapi import Request

from thumbmill.gateway import __main__ as gateway
from thumbmill.gateway.access.principal import Principal
from thumbmill.gateway.api.dependencies import Client, identify_client

create_app = gateway.create_app


def create(services):
    app = create_app(services)
    app.dependency_overrides[identify_client] = identify
    return app


async def identify(request: Request):
    tenant = request.headers.get("x-tenant", "")
    return Client(Principal(f"a client of {tenant}", tenant=tenant))


if __name__ == "__main__":
    gateway.create_app = create
    gateway.main()
