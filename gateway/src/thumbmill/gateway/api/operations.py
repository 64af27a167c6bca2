"""The operator's endpoints: summaries, the state of the system, reconciliations and redrives."""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from fastapi import APIRouter, Request, Response

from thumbmill.core.contracts.status import Status
from thumbmill.gateway.access.principal import Scope
from thumbmill.gateway.api import openapi
from thumbmill.gateway.api.dependencies import PrincipalDep, ServicesDep
from thumbmill.gateway.api.route_scopes import needs
from thumbmill.gateway.http.request_body import read_json
from thumbmill.gateway.images.models import RetryAccepted
from thumbmill.gateway.operations.order_models import (
    ImageRedriveRequest,
    Reconciliation,
    ReconciliationDetail,
    ReconciliationPage,
    ReconciliationRequest,
    RedriveAccepted,
    RedriveDetail,
    RedrivePage,
    RedriveRequest,
)
from thumbmill.gateway.operations.orders import Orders, operator_name
from thumbmill.gateway.operations.presenter import (
    to_reconciliation,
    to_reconciliation_detail,
    to_redrive,
    to_redrive_detail,
)
from thumbmill.gateway.operations.system_models import Summary, System
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.tracing import traceparent_of
from thumbmill.gateway.urls import API, links_of

Row = TypeVar("Row")

router = APIRouter(prefix=API, tags=["operations"], dependencies=[needs(Scope.ADMIN)])


@router.get("/summary", responses=openapi.SUMMARY)
async def get_summary(services: ServicesDep) -> Summary:
    """Count the images in each state, and the failures of the last hour, day and week by code.

    States are those that the status tracker has recorded. The numbers may be some seconds old: `at` has the time.
    """
    return await services.operations.summaries.get()


@router.get("/system")
async def get_system(services: ServicesDep) -> System:
    """Get the state of servers, tracker, queues, dead letters and workers, and what to do about problems."""
    return await services.operations.system.get()


@router.get("/reconciliations", responses=openapi.SUMMARY)
async def list_reconciliations(services: ServicesDep) -> ReconciliationPage:
    """List the latest 50 comparisons of the buckets with the rows, newest first: scheduled and requested ones."""
    repository = services.operations.repository
    rows, expected = await repository.reconciliations(), await repository.expected_objects()
    return ReconciliationPage(items=[to_reconciliation(row, expected) for row in rows])


@router.post(
    "/reconciliations", status_code=202, openapi_extra=openapi.RECONCILIATION_BODY, responses=openapi.ORDER
)
async def request_reconciliation(
    request: Request, response: Response, services: ServicesDep, principal: PrincipalDep
) -> Reconciliation:
    """Compare the buckets with the rows now, and repair what differs unless `dry_run` is set."""
    services.operations.orders.check_enabled()
    wanted = await read_json(request, ReconciliationRequest)
    order = await services.operations.orders.reconcile(
        dry_run=wanted.dry_run, operator=operator_name(principal.name), traceparent=traceparent_of(request)
    )
    response.headers["Location"] = f"{links_of(request).api}/reconciliations/{order.id}"
    return order


@router.get("/reconciliations/{run_id}", responses=openapi.ORDER_STATE)
async def get_reconciliation(services: ServicesDep, run_id: uuid.UUID) -> ReconciliationDetail:
    """Get a comparison of the buckets with the rows, and the first 1000 images that it found to differ."""
    repository = services.operations.repository
    row = await _find(services.operations.orders, lambda: repository.reconciliations(run_id))
    images = await repository.reconciled_images(run_id)
    return to_reconciliation_detail(row, await repository.expected_objects(), images)


@router.get("/redrives", responses=openapi.SUMMARY)
async def list_redrives(services: ServicesDep) -> RedrivePage:
    """List the latest 50 orders to process FAILED images again, newest first."""
    return RedrivePage(items=[to_redrive(row) for row in await services.operations.repository.redrives()])


@router.post("/redrives", status_code=202, openapi_extra=openapi.REDRIVE_BODY, responses=openapi.REDRIVES)
async def request_redrive(
    request: Request, response: Response, services: ServicesDep, principal: PrincipalDep
) -> RedriveAccepted:
    """Process FAILED images again: those that the preview counts, and no others.

    With `dry_run` the response is 200, and nothing changes. Only images that another run can help are redriven,
    unless `force` is set.
    """
    orders = services.operations.orders
    orders.check_enabled()
    wanted = await read_json(request, RedriveRequest)
    preview = await orders.preview(wanted)
    if wanted.dry_run or not preview.images:
        response.status_code = 200
        return RedriveAccepted(dry_run=wanted.dry_run, preview=preview)
    redrive = await orders.redrive(
        wanted, preview, operator=operator_name(principal.name), traceparent=traceparent_of(request)
    )
    response.headers["Location"] = f"{links_of(request).api}/redrives/{redrive.id}"
    return RedriveAccepted(dry_run=False, preview=preview, redrive=redrive)


@router.get("/redrives/{redrive_id}", responses=openapi.ORDER_STATE)
async def get_redrive(services: ServicesDep, redrive_id: uuid.UUID) -> RedriveDetail:
    """Get an order to process FAILED images again, and what became of the first 1000 of them."""
    repository = services.operations.repository
    row = await _find(services.operations.orders, lambda: repository.redrives(redrive_id))
    return to_redrive_detail(row, await repository.redriven_images(redrive_id))


@router.post(
    "/images/{image_id}/redrive",
    status_code=202,
    openapi_extra=openapi.IMAGE_REDRIVE_BODY,
    responses=openapi.IMAGE_REDRIVE,
)
async def redrive_image(
    request: Request, response: Response, services: ServicesDep, principal: PrincipalDep, image_id: uuid.UUID
) -> RetryAccepted:
    """Process one FAILED image again, as an operator: at once, and with `force` whatever its error is."""
    services.operations.orders.check_enabled()
    wanted = await read_json(request, ImageRedriveRequest)
    row = await services.lookup.find(image_id, principal.tenant)
    operator = operator_name(principal.name)
    await services.tracker.request_redrive(row, traceparent_of(request), operator=operator, force=wanted.force)
    row = await services.lookup.wait_until_changed(row, principal.tenant)
    response.headers["Location"] = url = links_of(request).image(image_id)
    return RetryAccepted(id=row.id, status=Status(row.status), url=url)


async def _find(orders: Orders, read: Callable[[], Awaitable[Sequence[Row]]]) -> Row:
    """Return an order. Raise Problem: order_not_found, or not_caught_up while it may not be recorded yet."""
    arrived_at = datetime.now(UTC)
    rows = await read()
    if not rows:
        if not await orders.is_recorded(arrived_at):
            raise Problem(Code.NOT_CAUGHT_UP)
        rows = await read()
    if not rows:
        raise Problem(Code.ORDER_NOT_FOUND)
    return rows[0]
