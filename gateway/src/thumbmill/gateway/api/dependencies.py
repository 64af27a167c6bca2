"""Dependencies of the routes: the services of the application, and the check of the API key.

All of them are coroutines: FastAPI runs plain functions in a thread pool.
"""

from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from thumbmill.gateway.auth import ApiKeys
from thumbmill.gateway.container import Services
from thumbmill.gateway.problems import Code, Problem

_API_KEY = APIKeyHeader(name="X-API-Key", auto_error=False, description="One of the keys in `API_KEYS`")
_BEARER = HTTPBearer(auto_error=False, description="One of the keys in `API_KEYS`")


async def get_services(request: Request) -> Services:
    """Return the services of the application."""
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(get_services)]


async def require_api_key(
    request: Request,
    api_key: Annotated[str | None, Security(_API_KEY)] = None,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)] = None,
) -> None:
    """Raise Problem (401) unless the request has a valid key, or no key is required."""
    api_keys: ApiKeys = request.app.state.services.api_keys
    request.state.client = ""
    if api_keys.allows_anonymous:
        return
    key = api_key or (bearer.credentials if bearer else "")
    if not api_keys.verify(key):
        raise Problem(Code.UNAUTHORIZED)
    request.state.client = api_keys.client_name(key)
