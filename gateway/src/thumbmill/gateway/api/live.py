"""The live endpoints: streams of changes, the list of changes, and batches."""

import math
import uuid
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request
from starlette.responses import Response

from thumbmill.core.contracts.changes import ChangeType
from thumbmill.gateway.access.principal import Scope
from thumbmill.gateway.api import openapi
from thumbmill.gateway.api import parameters as params
from thumbmill.gateway.api.dependencies import AccessCheckDep, LinksDep, PrincipalDep, ServicesDep
from thumbmill.gateway.api.route_scopes import needs
from thumbmill.gateway.api.waiting import WaitSeconds
from thumbmill.gateway.container import Services
from thumbmill.gateway.http.methods import is_head
from thumbmill.gateway.http.object_responses import is_not_modified
from thumbmill.gateway.images.states import TERMINAL
from thumbmill.gateway.live.batches import batch_headers, to_batch_out
from thumbmill.gateway.live.models import BatchOut, ChangePage
from thumbmill.gateway.live.pages import ChangeList, find_start, read_list, render_list
from thumbmill.gateway.live.selection import Selection
from thumbmill.gateway.live.streams import HEADERS, StreamRequest
from thumbmill.gateway.urls import API, Links

router = APIRouter(prefix=API, tags=["live"], dependencies=[needs(Scope.READ)])

MAX_IMAGES = 100
CATCH_UP_SECONDS = 1.0  # a settled batch is finished once the tracker has caught up, which is no change of an image
BatchName = Annotated[str, Path(pattern=params.BATCH_PATTERN, description="Label of a batch of uploads")]
Images = Annotated[
    list[uuid.UUID] | None, Query(alias="image", max_length=MAX_IMAGES, description="Only this image; repeatable")
]
After = Annotated[
    str | None,
    Query(
        max_length=100,
        description="The value of `next` in the previous page, or an `event_id`; `earliest` begins with the oldest "
        "change that is kept; default: no earlier changes, only those that a wait lets happen",
    ),
]
Follow = Annotated[bool, Query(description="Do not end the stream when the state is final")]
Types = Annotated[
    list[ChangeType] | None, Query(alias="type", max_length=20, description="Only changes of this type; repeatable")
]
LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        max_length=100,
        description="Id of the last event that the client has seen: what follows it is sent first. Browsers send "
        "it when they reconnect",
    ),
]
LastEventIdParameter = Annotated[
    str | None,
    Query(
        alias="last_event_id",
        max_length=100,
        description="The same for a first request; `earliest` begins with the oldest change that is kept. The "
        "header wins",
    ),
]


async def select_changes(
    principal: PrincipalDep, images: Images = None, batch: params.BatchFilter = None, types: Types = None
) -> Selection:
    """Return the selection that the filters in a URL describe, of the client's tenant."""
    return Selection(principal.tenant, frozenset(images or ()), batch, frozenset(types or ()))


Selected = Annotated[Selection, Depends(select_changes)]


async def read_resume_id(header: LastEventId = None, parameter: LastEventIdParameter = None) -> str | None:
    """Return the id with which a client resumes a stream."""
    return header if header is not None else parameter


ResumeId = Annotated[str | None, Depends(read_resume_id)]


@router.get("/stream", response_class=Response, responses=openapi.STREAM)
async def stream_changes(
    request: Request,
    services: ServicesDep,
    links: LinksDep,
    selected: Selected,
    resume: ResumeId,
    has_access: AccessCheckDep,
) -> Response:
    """Follow changes as server-sent events: all of them, or those of images, a batch or some types.

    `hello` comes first, `heartbeat` every 15 seconds, and `reset` if the changes after the last event's id are no
    longer known: then read the present state. Every other event is a change, with the data of an item of
    `GET /api/v1/changes`.
    """
    return _stream(request, services, links, has_access, StreamRequest(selected, resume))


@router.get("/images/{image_id}/stream", response_class=Response, responses=openapi.IMAGE_STREAM)
async def stream_image(
    request: Request,
    services: ServicesDep,
    links: LinksDep,
    principal: PrincipalDep,
    image_id: uuid.UUID,
    resume: ResumeId,
    has_access: AccessCheckDep,
    follow: Follow = False,  # noqa: FBT002 - a query parameter
) -> Response:
    """Follow one image as server-sent events, beginning with its present state, until its state is final."""
    selection = Selection(principal.tenant, frozenset({image_id}))
    wanted = StreamRequest(selection, resume, image_id, until_final=not follow)
    return _stream(request, services, links, has_access, wanted)


@router.get("/batches/{batch}/stream", response_class=Response, responses=openapi.STREAM)
async def stream_batch(
    request: Request,
    services: ServicesDep,
    links: LinksDep,
    principal: PrincipalDep,
    batch: BatchName,
    resume: ResumeId,
    has_access: AccessCheckDep,
) -> Response:
    """Follow the images of a batch as server-sent events, those that are still to be uploaded too."""
    return _stream(
        request, services, links, has_access, StreamRequest(Selection(principal.tenant, batch=batch), resume)
    )


def _stream(
    request: Request, services: Services, links: Links, has_access: AccessCheckDep, wanted: StreamRequest
) -> Response:
    if is_head(request):
        return Response(headers=HEADERS)
    return services.streams.open(wanted, links, has_access)


@router.get("/changes", response_model=ChangePage, responses=openapi.CHANGES)
async def list_changes(
    request: Request,
    services: ServicesDep,
    links: LinksDep,
    selected: Selected,
    wait: WaitSeconds,
    after: After = None,
    limit: params.Limit = 100,
) -> Response:
    """List changes in the order in which they were recorded: for programs, and where a proxy holds streams back.

    With `Prefer: wait=N`, the response waits up to N seconds for the first change. Ask again after `next`. Changes
    are kept for `CHANGES_KEEP_DAYS`.
    """
    feed = services.streams.feed
    start = await find_start(feed, after)

    async def read() -> ChangeList:
        return await read_list(feed, start, selected, limit)

    waited = await services.waits.until(request, wait, selected, read, lambda found: found.is_news)
    headers = {**waited.headers, "Cache-Control": "no-store"}
    return Response(render_list(waited.result, links), 200, headers, "application/json")


@router.get("/batches/{batch}", response_model=BatchOut, responses=openapi.BATCH)
async def get_batch(
    request: Request, services: ServicesDep, principal: PrincipalDep, batch: BatchName, wait: WaitSeconds
) -> Response:
    """Count the images of a batch by their states. Until all are final, `Retry-After` gives the time to ask again.

    With `Prefer: wait=N`, the response waits up to N seconds until the batch is finished, or, with `If-None-Match`,
    until something has changed. A label that no upload has used yet is a batch without images.
    """
    arrived_at = datetime.now(UTC)

    async def read() -> BatchOut:
        return to_batch_out(batch, await services.batches.find(batch, principal.tenant, arrived_at), arrived_at)

    def is_enough(found: BatchOut) -> bool:
        if "if-none-match" in request.headers:
            return not is_not_modified(request, batch_headers(found)["ETag"])
        return found.finished

    def reread_seconds(found: BatchOut) -> float:
        is_settled = found.total and found.counts.keys() <= TERMINAL
        return CATCH_UP_SECONDS if is_settled else math.inf

    waited = await services.waits.until(
        request, wait, Selection(principal.tenant, batch=batch), read, is_enough, reread_seconds=reread_seconds
    )
    headers = {**batch_headers(waited.result), **waited.headers}
    if is_not_modified(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(waited.result.model_dump_json(), 200, headers, "application/json")
