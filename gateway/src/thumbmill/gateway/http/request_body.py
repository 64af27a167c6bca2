"""Reading a request's body, within limits of length and of patience."""

from collections.abc import AsyncIterator
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from thumbmill.gateway.http.body_rate import BodyRateLimits, BodyRateMonitor
from thumbmill.gateway.problems import Code, Problem, invalid

SMALL_BODY_BYTES = 64 * 1024
SMALL_BODY_LIMITS = BodyRateLimits(deadline_seconds=30)

T = TypeVar("T", bound=BaseModel)


async def read_body(receive: Receive, max_bytes: int, pace: BodyRateMonitor) -> AsyncIterator[bytes]:
    """Give a body's chunks. Raises Problem for one that is too long or too slow, ClientDisconnect."""
    total, more = 0, True
    while more:
        message = await pace.next(receive)
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        data, more = message.get("body", b""), message.get("more_body", False)
        total += len(data)
        if data:
            yield data  # even beyond the limit: whoever takes it may know better what is too large
        if total > max_bytes:
            raise Problem(Code.BODY_TOO_LARGE, f"the limit is {max_bytes} bytes")


async def read_json(request: Request, shape: type[T]) -> T:
    """Read a small body and check it. Raises Problem, ClientDisconnect."""
    body = b"".join(
        [chunk async for chunk in read_body(request.receive, SMALL_BODY_BYTES, BodyRateMonitor(SMALL_BODY_LIMITS))]
    )
    try:
        return shape.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise invalid(error.errors(include_url=False)) from error
