"""The endpoints of the HTTP API, each as a short list of steps."""

import uuid

from fastapi import APIRouter, Request, Response

from thumbmill.core.contracts.identity import ORIGINALS_BUCKET
from thumbmill.core.contracts.status import Status
from thumbmill.gateway.access.principal import Scope
from thumbmill.gateway.api import openapi
from thumbmill.gateway.api import parameters as params
from thumbmill.gateway.api.dependencies import LinksDep, PrincipalDep, ServicesDep
from thumbmill.gateway.api.existing import find_for_ticket, find_preferred
from thumbmill.gateway.api.idempotency import IdempotencyKeyDep
from thumbmill.gateway.api.parts import PartsUpload, UploadRequest, to_parts_upload
from thumbmill.gateway.api.route_scopes import needs
from thumbmill.gateway.api.waiting import WaitSeconds, read_image, respond_to_upload, wait_until_deleted
from thumbmill.gateway.http.object_responses import is_not_modified
from thumbmill.gateway.http.request_body import read_json
from thumbmill.gateway.images.models import (
    Accepted,
    DeletionAccepted,
    ExistingImage,
    ImageOut,
    ImagePage,
    RetryAccepted,
    Timeline,
)
from thumbmill.gateway.images.pagination import read_page
from thumbmill.gateway.images.presenter import image_headers, select_states, to_event_out, to_image_out
from thumbmill.gateway.images.states import WITHOUT_UPLOAD
from thumbmill.gateway.limits.limiter import limits_of
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.tracing import traceparent_of
from thumbmill.gateway.uploads.presigned import PresignedUpload
from thumbmill.gateway.urls import API, links_of

uploads = APIRouter(prefix=API, tags=["upload"], dependencies=[needs(Scope.UPLOAD)])
images = APIRouter(prefix=f"{API}/images", tags=["images"])


@uploads.post(
    "/images",
    status_code=202,
    response_model=Accepted,
    openapi_extra=openapi.UPLOAD_BODY,
    responses=openapi.EXISTING | openapi.UPLOADED | openapi.UPLOAD,
)
async def upload_image(
    request: Request,
    services: ServicesDep,
    links: LinksDep,
    principal: PrincipalDep,
    wait: WaitSeconds,
    idempotency_key: IdempotencyKeyDep,
    batch: params.Batch = None,
) -> Response:
    """Upload an image, as a form with a field `file` or as the raw bytes with an `image/*` content type.

    With `Prefer: wait=N`, the response waits up to N seconds: 201 with the image once it is DONE or FAILED, else
    202. With an `Idempotency-Key`, a repetition with the same bytes gets the response of the first request, and the
    header `Idempotent-Replayed: true`. With `Prefer: return=existing` and the SHA-256 of the file in `Repr-Digest`,
    the response is a 200 at once if there is an image with these bytes.
    """
    services.admission.check_capacity("images")
    if found := await find_preferred(request, services, principal):
        existing, headers = found
        return Response(existing.model_dump_json(), 200, headers, "application/json")
    stored = await services.uploads.store(request, principal.tenant, batch, idempotency_key)
    return await respond_to_upload(request, services, links, stored, wait)


@uploads.post(
    "/uploads",
    status_code=201,
    openapi_extra=openapi.json_body(UploadRequest),
    responses=openapi.TICKET,
)
async def create_presigned_upload(
    request: Request,
    response: Response,
    services: ServicesDep,
    principal: PrincipalDep,
    idempotency_key: IdempotencyKeyDep,
) -> PresignedUpload | PartsUpload | ExistingImage:
    """Create a ticket: a form, or a resumable upload in parts, of one file directly to the object store.

    With an `Idempotency-Key`, a repetition renews the ticket of the same image. The response is a 200
    without a ticket if that image was uploaded meanwhile, or if there is an image with this `sha256`.
    """
    services.admission.check_capacity("uploads")
    wanted, links = await read_json(request, UploadRequest), links_of(request)
    if found := await find_for_ticket(request, services, principal, wanted, idempotency_key):
        existing, headers = found
        response.status_code = 200
        response.headers.update(headers)
        return existing
    upload: PresignedUpload | PartsUpload
    if wanted.method == "parts":
        started = await services.part_uploads.start(
            wanted, wanted.bytes, traceparent_of(request), limits_of(request.scope), idempotency_key
        )
        upload = to_parts_upload(started, links)
    else:
        upload = await services.presigned_uploads.create(
            wanted, wanted.bytes, traceparent_of(request), limits_of(request.scope), idempotency_key
        )
    response.headers["Location"] = links.image(upload.id)
    return upload


@images.get("", dependencies=[needs(Scope.READ)], responses=openapi.LIST)
async def list_images(
    services: ServicesDep,
    links: LinksDep,
    principal: PrincipalDep,
    status: params.StatusFilter = None,
    deleted: params.IncludeDeleted = True,  # noqa: FBT002 - a query parameter
    key: params.KeyFilter = None,
    batch: params.BatchFilter = None,
    cursor: params.Cursor = None,
    limit: params.Limit = 50,
) -> ImagePage:
    """List images, newest first; with `key`, find the image that an S3 client uploaded under this key.

    The list shows what the status tracker has recorded. An image's own URL, or `key`, can be a moment ahead of it.
    """
    states, next_cursor = select_states(status, deleted=deleted), None
    if key is None:
        rows, next_cursor = await read_page(services.repository, principal.tenant, states, batch, cursor, limit)
    else:
        row = await services.lookup.find_by_key(key, principal.tenant)
        is_wanted = row and (states is None or row.status in states) and (batch is None or row.batch == batch)
        rows = [row] if row and is_wanted else []
    return ImagePage(items=[to_image_out(row, links) for row in rows], next=next_cursor)


@images.get("/{image_id}", dependencies=[needs(Scope.READ)], response_model=ImageOut, responses=openapi.IMAGE)
async def get_image(
    request: Request,
    response: Response,
    services: ServicesDep,
    links: LinksDep,
    principal: PrincipalDep,
    image_id: uuid.UUID,
    wait: WaitSeconds,
) -> ImageOut | Response:
    """Get an image. While its state is not final, `Retry-After` gives the time to ask again.

    With `Prefer: wait=N`, the response waits up to N seconds until the state is final, or, with `If-None-Match`,
    until anything has changed.
    """
    waited = await read_image(request, services, links, principal.tenant, image_id, wait)
    row = waited.result
    headers = image_headers(row, links) | waited.headers
    if is_not_modified(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return to_image_out(row, links)


@images.get("/{image_id}/events", dependencies=[needs(Scope.READ)], responses=openapi.TIMELINE)
async def get_timeline(
    response: Response, services: ServicesDep, principal: PrincipalDep, image_id: uuid.UUID
) -> Timeline:
    """List the events of an image in the order in which they occurred, at most the first 1000."""
    row = await services.lookup.find(image_id, principal.tenant)
    events = await services.repository.timeline(image_id, principal.tenant)
    response.headers["Cache-Control"] = "private, no-cache"
    return Timeline(items=[to_event_out(event) for event in events], event_id=row.event_id)


@images.get(
    "/{image_id}/variants/{type}",  # noqa: FAST003
    dependencies=[needs(Scope.READ)],
    response_class=Response,
    responses=openapi.VARIANT,
)
async def get_variant(
    request: Request,
    services: ServicesDep,
    principal: PrincipalDep,
    image_id: uuid.UUID,
    type_: params.Variant,
    v: params.ContentId = None,
) -> Response:
    """Download `original` or a variant. The URL is stable; its content changes with the stored object."""
    return await services.delivery.respond(request, image_id, principal.tenant, type_, v)


@images.post("/{image_id}/retry", dependencies=[needs(Scope.UPLOAD)], status_code=202, responses=openapi.RETRY)
async def retry_image(
    request: Request, response: Response, services: ServicesDep, principal: PrincipalDep, image_id: uuid.UUID
) -> RetryAccepted:
    """Retry a FAILED image whose error is `retryable`; its status changes later. Repetitions have no effect."""
    row = await services.lookup.find(image_id, principal.tenant)
    await services.tracker.request_retry(row, traceparent_of(request))
    row = await services.lookup.wait_until_changed(row, principal.tenant)
    response.headers["Location"] = url = links_of(request).image(image_id)
    return RetryAccepted(id=row.id, status=Status(row.status), url=url)


@images.delete("/{image_id}", dependencies=[needs(Scope.DELETE)], status_code=202, responses=openapi.DELETE)
async def delete_image(
    request: Request,
    response: Response,
    services: ServicesDep,
    principal: PrincipalDep,
    image_id: uuid.UUID,
    wait: WaitSeconds,
) -> DeletionAccepted:
    """Delete the stored object. Its variants are deleted, and its state changes, a moment later.

    With `Prefer: wait=N`, the response waits up to N seconds: 200 once the state is DELETED, else 202.
    """
    row = await services.lookup.wait_until_tracked(image_id, principal.tenant)
    if row.status in WITHOUT_UPLOAD:
        raise Problem(Code.TICKET_NOT_USED)
    if row.status != Status.DELETED:
        await services.executor.run(services.storage.delete, ORIGINALS_BUCKET, row.key)
    if wait:
        waited = await wait_until_deleted(request, services, principal.tenant, image_id, wait)
        row = waited.result
        response.headers.update(waited.headers)
        response.status_code = 200 if row.status == Status.DELETED else 202
    return DeletionAccepted(id=row.id, status=Status(row.status), key=row.key or None)
