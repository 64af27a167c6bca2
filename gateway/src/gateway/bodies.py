"""Reading a request's body, within limits of length and of patience."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from gateway.problems import Code, Problem, invalid

IDLE_SECONDS = 30  # a client that sends nothing for so long gives up its place
SMALL_BODY_BYTES = 64 * 1024

T = TypeVar("T", bound=BaseModel)


async def read_body(receive: Receive, max_bytes: int) -> AsyncIterator[bytes]:
    """Give a body's chunks. Raises Problem for one that is too long or stalls, ClientDisconnect."""
    total, more = 0, True
    while more:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                message = await receive()
        except TimeoutError as fault:
            raise Problem(Code.UPLOAD_STALLED) from fault
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        data, more = message.get("body", b""), message.get("more_body", False)
        total += len(data)
        if total > max_bytes:
            raise Problem(Code.BODY_TOO_LARGE, f"the limit is {max_bytes} bytes")
        if data:
            yield data


async def read_json(request: Request, shape: type[T]) -> T:
    """Read a small body and check it. Raises Problem, ClientDisconnect."""
    body = b"".join([chunk async for chunk in read_body(request.receive, SMALL_BODY_BYTES)])
    try:
        return shape.model_validate_json(body or b"{}")
    except ValidationError as fault:
        raise invalid(fault.errors(include_url=False)) from fault
