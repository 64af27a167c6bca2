"""Read a request body within limits of size and time."""

from collections.abc import AsyncIterator
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from thumbmill.gateway.http.body_rate import BodyRateLimits, BodyRateMonitor
from thumbmill.gateway.problems import Code, Problem, validation_problem

MAX_JSON_BYTES = 64 * 1024
JSON_RATE_LIMITS = BodyRateLimits(deadline_seconds=30)

Model = TypeVar("Model", bound=BaseModel)


async def read_body(receive: Receive, max_bytes: int, monitor: BodyRateMonitor) -> AsyncIterator[bytes]:
    """Yield the chunks of a body. Raise Problem if it is too large or slow, ClientDisconnect if it ends early."""
    total, more = 0, True
    while more:
        message = await monitor.receive(receive)
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        data, more = message.get("body", b""), message.get("more_body", False)
        total += len(data)
        if data:
            yield data  # even beyond the limit: the caller may raise a more specific problem
        if total > max_bytes:
            raise Problem(Code.BODY_TOO_LARGE, f"the limit is {max_bytes} bytes")


async def read_json(request: Request, model: type[Model], max_bytes: int = MAX_JSON_BYTES) -> Model:
    """Read a small JSON body and validate it. Raise Problem, ClientDisconnect.

    FastAPI would read a body parameter before it runs any dependency: without these limits, and before the API
    key is checked.
    """
    monitor = BodyRateMonitor(JSON_RATE_LIMITS)
    body = b"".join([chunk async for chunk in read_body(request.receive, max_bytes, monitor)])
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise validation_problem(error.errors(include_url=False)) from error
