"""``Prefer: wait=N`` in requests, and the responses of uploads that wait for their image."""

import uuid
from typing import Annotated

import structlog
from fastapi import Depends, Header, Query, Request
from starlette.responses import Response

from thumbmill.core.contracts.changes import ChangeType
from thumbmill.core.contracts.status import Status
from thumbmill.core.contracts.tenants import tenant_of
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.gateway.container import Services
from thumbmill.gateway.http.object_responses import is_not_modified
from thumbmill.gateway.http.prefer import MAX_WAIT_SECONDS, wanted_seconds
from thumbmill.gateway.images.models import Accepted
from thumbmill.gateway.images.presenter import etag_of, image_headers, to_image_out
from thumbmill.gateway.images.repository import ImageRow
from thumbmill.gateway.images.states import TERMINAL
from thumbmill.gateway.live.selection import FINAL_TYPES, Selection
from thumbmill.gateway.live.waits import VARY, Waited
from thumbmill.gateway.uploads.service import StoredImage
from thumbmill.gateway.urls import Links

log = structlog.get_logger()

Prefer = Annotated[
    list[str] | None,
    Header(description=f"`wait=N` (RFC 7240): wait up to N seconds for the result, at most {MAX_WAIT_SECONDS}"),
]
Wait = Annotated[int | None, Query(ge=0, description="The same as `Prefer: wait=N`, which wins")]


async def read_wait_seconds(prefer: Prefer = None, wait: Wait = None) -> int:
    """Return how many seconds a client is willing to wait; 0: it does not wait."""
    return wanted_seconds(prefer or (), wait)


WaitSeconds = Annotated[int, Depends(read_wait_seconds)]


async def respond_to_upload(
    request: Request, services: Services, links: Links, stored: StoredImage, seconds: int
) -> Response:
    """Return the response to an upload whose object is stored, and whose slot is free.

    For a client that waits: 201 with the whole image, once it is DONE or FAILED. Otherwise 202.
    """
    tenant = tenant_of(stored.key)
    # Only an image that was stored before can have got further than PENDING.
    status = (await services.lookup.find(stored.id, tenant)).status if stored.is_replayed else Status.PENDING
    url = links.image(stored.id)
    accepted = Accepted.model_validate({**vars(stored), "status": status, "url": url})
    always = {"Location": url, **replayed_header(is_replayed=stored.is_replayed)}
    headers = {**VARY, **always}

    async def read() -> ImageRow | None:
        return (await services.repository.get(accepted.id, tenant))[0]

    if seconds:
        selection = Selection(tenant, frozenset({accepted.id}), types=FINAL_TYPES)
        try:
            waited = await services.waits.until(request, seconds, selection, read, _is_final)
        except DependencyUnavailable as error:  # the image is stored all the same
            log.warning("wait_failed", error=str(error))
        else:
            headers |= waited.headers | {"Retry-After": "1"}
            if row := waited.result:
                accepted.status = Status(row.status)
            if row and _is_final(row):
                headers = {**waited.headers, **image_headers(row, links), **always}
                body = to_image_out(row, links)
                return Response(body.model_dump_json(), 201, headers, "application/json")
    return Response(accepted.model_dump_json(), 202, headers, "application/json")


def replayed_header(*, is_replayed: bool) -> dict[str, str]:
    """Return the header by which a client sees that an earlier request with its idempotency key did the work."""
    return {"Idempotent-Replayed": "true"} if is_replayed else {}


def _is_final(row: ImageRow | None) -> bool:
    return row is not None and row.status in TERMINAL


async def read_image(
    request: Request, services: Services, links: Links, tenant: str, image_id: uuid.UUID, seconds: int
) -> Waited[ImageRow]:
    """Return an image, once it is final or is no longer the one that the client has, if the client waits for it."""
    has_one = "if-none-match" in request.headers
    selection = Selection(tenant, frozenset({image_id}), types=frozenset() if has_one else FINAL_TYPES)

    def is_enough(row: ImageRow) -> bool:
        return not is_not_modified(request, etag_of(row, links)) if has_one else _is_final(row)

    return await services.waits.until(
        request, seconds, selection, lambda: services.lookup.find(image_id, tenant), is_enough
    )


async def wait_until_deleted(
    request: Request, services: Services, tenant: str, image_id: uuid.UUID, seconds: int
) -> Waited[ImageRow]:
    """Return an image whose object was deleted, once it is DELETED or the client no longer waits."""
    selection = Selection(tenant, frozenset({image_id}), types=frozenset({ChangeType.DELETED}))
    return await services.waits.until(
        request,
        seconds,
        selection,
        lambda: services.lookup.find(image_id, tenant),
        lambda row: row.status == Status.DELETED,
    )
