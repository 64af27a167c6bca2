"""The header ``Idempotency-Key`` of requests that upload something."""

from typing import Annotated

from fastapi import Depends, Header, Request

from thumbmill.gateway.api.dependencies import require_principal
from thumbmill.gateway.http.idempotency_key import MAX_CHARACTERS, parse_idempotency_key
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.uploads.idempotency import IdempotencyKey

_Declared = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description=f"Name of this upload, 1 to {MAX_CHARACTERS} printable ASCII characters, best a new UUID: "
        "whatever is repeated with it, one image is stored",
    ),
]


async def read_idempotency_key(request: Request, _: _Declared = None) -> IdempotencyKey | None:
    """Return the idempotency key of a request, if it has one. Raise Problem for an invalid one."""
    try:
        value = parse_idempotency_key(request.headers.getlist("idempotency-key"))
    except ValueError as error:
        raise Problem(Code.IDEMPOTENCY_KEY_INVALID, str(error)) from error
    return IdempotencyKey(value, (await require_principal(request)).tenant) if value is not None else None


IdempotencyKeyDep = Annotated[IdempotencyKey | None, Depends(read_idempotency_key)]
