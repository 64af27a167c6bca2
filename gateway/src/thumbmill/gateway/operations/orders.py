"""Orders of operators: published with a confirm, and recorded and carried out by the tracker.

The gateway writes nothing to the database. It counts what an order is about from the views, and the tracker carries
out exactly that: images that fail later than the count are left out.
"""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import structlog

from thumbmill.core.contracts.cloud_event import to_cloud_event
from thumbmill.core.contracts.error_codes import MESSAGES, RETRYABLE, ErrorCode
from thumbmill.core.contracts.system_events import (
    REDRIVES_PER_SECOND,
    Order,
    ReconciliationRequested,
    RedriveRequested,
)
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.images.polling import poll_tracker
from thumbmill.gateway.metrics import TRACKER_REQUESTS
from thumbmill.gateway.operations.order_models import (
    NotRetryable,
    OrderState,
    Reconciliation,
    Redrive,
    RedrivePreview,
    RedriveRequest,
)
from thumbmill.gateway.operations.presenter import to_reconciliation, to_redrive
from thumbmill.gateway.operations.repository import OperationsRepository, Scope
from thumbmill.gateway.problems import Code, Problem

log = structlog.get_logger()

Row = TypeVar("Row")


@dataclass(frozen=True)
class Orders:
    """Publishes orders in the thread of the publisher. ``enabled``: whether the settings allow them."""

    repository: OperationsRepository
    publisher: Publisher
    publisher_executor: BoundedExecutor
    enabled: bool

    def check_enabled(self) -> None:
        """Raise Problem (403) if orders are switched off."""
        if not self.enabled:
            raise Problem(Code.OPERATOR_ACTIONS_OFF)

    async def reconcile(self, *, dry_run: bool, operator: str, traceparent: str) -> Reconciliation:
        """Request a reconciliation. Raise Problem, or DependencyUnavailable without a broker."""
        self.check_enabled()
        order_id = await self._publish(ReconciliationRequested(operator=operator, dry_run=dry_run), traceparent)
        row = await _wait_for(lambda: self.repository.reconciliations(order_id))
        if row:
            return to_reconciliation(row, None)
        return Reconciliation(
            id=order_id,
            state=OrderState.REQUESTED,
            dry_run=dry_run,
            requested_by=operator,
            requested_at=datetime.now(UTC),
        )

    async def preview(self, request: RedriveRequest) -> RedrivePreview:
        """Count the images that a redrive would process again. Raise DependencyUnavailable."""
        until = await self.repository.now()
        scope = Scope(until, [code.value for code in request.codes], request.ids, request.since)
        return make_preview(await self.repository.count_failed(scope), request, until)

    async def redrive(
        self, request: RedriveRequest, preview: RedrivePreview, *, operator: str, traceparent: str
    ) -> Redrive:
        """Request what the preview counted. Raise Problem, or DependencyUnavailable without a broker."""
        self.check_enabled()
        order = RedriveRequested(
            codes=request.codes,
            ids=request.ids,
            since=request.since,
            until=preview.counted_at,
            force=request.force,
            operator=operator,
        )
        order_id = await self._publish(order, traceparent)
        row = await _wait_for(lambda: self.repository.redrives(order_id))
        if row:
            return to_redrive(row)
        return Redrive.model_validate(
            {
                "id": order_id,
                "state": OrderState.REQUESTED,
                "dry_run": False,
                "requested_by": operator,
                "requested_at": preview.counted_at,
                "scope": request.model_dump(exclude={"dry_run"}),
                "progress": {"redriven": 0},
            }
        )

    async def is_recorded(self, arrived_at: datetime) -> bool:
        """Return whether the tracker has recorded every order published before a time; give it a moment."""

        def is_caught_up(caught_up_to: datetime | None) -> bool:
            return caught_up_to is not None and caught_up_to >= arrived_at

        return is_caught_up(await poll_tracker(self.repository.caught_up_to, is_caught_up))

    async def _publish(self, order: Order, traceparent: str) -> uuid.UUID:
        event = to_cloud_event(order, by="gateway", traceparent=traceparent)
        await self.publisher_executor.run(self.publisher.publish_event, event)
        TRACKER_REQUESTS.labels(order.type.value).inc()
        return event.id


def make_preview(counts: dict[str, int], request: RedriveRequest, counted_at: datetime) -> RedrivePreview:
    """Divide the FAILED images of a scope, counted by code, into those that are redriven and those that are not."""
    by_code = {code: counts[code.value] for code in ErrorCode if counts.get(code.value)}
    redriven = {code: number for code, number in by_code.items() if request.force or code in RETRYABLE}
    return RedrivePreview(
        images=sum(redriven.values()),
        codes=redriven,
        not_retryable=[
            NotRetryable(code=code, meaning=MESSAGES[code], images=number)
            for code, number in by_code.items()
            if code not in redriven
        ],
        not_failed=max(0, len(set(request.ids)) - sum(by_code.values())) if request.ids else 0,
        per_second=REDRIVES_PER_SECOND,
        counted_at=counted_at,
    )


async def _wait_for(read: Callable[[], Awaitable[Sequence[Row]]]) -> Row | None:
    """Return the order's row, or None if the tracker has not recorded it in time, or it cannot be read.

    The order is published, so an error would make the client send a second one.
    """
    try:
        rows = await poll_tracker(read, bool)
    except DependencyUnavailable as error:
        log.warning("order_not_readable", error=str(error))
        return None
    return rows[0] if rows else None


def operator_name(client: str) -> str:
    """Return the name under which an order of this API client is recorded."""
    return f"API key {client}" if client else "anonymous"
