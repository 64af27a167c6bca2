"""Requests to the status tracker: retry an image, or create lost variants again.

The gateway writes nothing to the database. It publishes an event with a publisher confirm, and the tracker
decides by its own row and the bucket.
"""

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from thumbmill.core.contracts.cloud_event import to_cloud_event
from thumbmill.core.contracts.failure import Failure
from thumbmill.core.contracts.identity import ObjectVersion
from thumbmill.core.contracts.interventions import RequestEvent, RetryRequested, VariantsMissing, next_run_id
from thumbmill.core.contracts.status import Status
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.images.repository import ImageRow
from thumbmill.gateway.metrics import TRACKER_REQUESTS
from thumbmill.gateway.problems import Code, Problem

log = structlog.get_logger()

REPORT_INTERVAL_SECONDS = 60.0  # between two reports of missing variants of one image
MAX_REMEMBERED = 10_000  # reported images; the tracker counts too
MAX_IN_FLIGHT = 16  # reports that are being published

_RUNNING = frozenset({Status.PENDING, Status.PROCESSING})


@dataclass
class TrackerClient:
    """Publishes requests in the thread of the publisher."""

    publisher: Publisher
    publisher_executor: BoundedExecutor
    retry_seconds: float  # between a failed retry of an image and the next retry
    _reported_at: "OrderedDict[uuid.UUID, float]" = field(default_factory=OrderedDict)  # the oldest first
    _in_flight: set["asyncio.Task[None]"] = field(default_factory=set)

    async def request_retry(self, row: ImageRow, traceparent: str) -> None:
        """Request a retry. Raise Problem if the image cannot be retried, DependencyUnavailable without a broker."""
        now = datetime.now(UTC)
        check_retryable(row, now, self.retry_seconds)
        await self._publish(_make_retry(row, now), traceparent)

    async def request_redrive(self, row: ImageRow, traceparent: str, *, operator: str, force: bool) -> None:
        """Request a retry for an operator, without a pause after the last one; with ``force`` for any error.

        Raise Problem if the image cannot be retried, DependencyUnavailable without a broker.
        """
        check_failed(row, force=force)
        request = _make_retry(row, datetime.now(UTC), operator=operator, forced=force)
        await self._publish(request, traceparent)

    def report_missing(self, row: ImageRow, keys: Sequence[str], traceparent: str) -> None:
        """Report missing variants, or, without keys, a missing original. Return before it is published."""
        loop = asyncio.get_running_loop()
        last = self._reported_at.get(row.id)
        if row.object_version is None or (last is not None and loop.time() - last < REPORT_INTERVAL_SECONDS):
            return
        if len(self._in_flight) >= MAX_IN_FLIGHT:
            return  # the next request for the variant reports it, or reconciliation finds it
        self._reported_at[row.id] = loop.time()
        self._reported_at.move_to_end(row.id)
        if len(self._reported_at) > MAX_REMEMBERED:
            self._reported_at.popitem(last=False)
        missing = VariantsMissing(
            key=row.key,
            object_version=ObjectVersion.parse(row.object_version),
            missing=list(keys),
            run_id=next_run_id(row.run_id),
        )
        task = asyncio.create_task(self._publish_report(missing, row.id, traceparent))
        self._in_flight.add(task)
        task.add_done_callback(self._in_flight.discard)

    async def close(self) -> None:
        """Wait until the reports in flight are published or have failed."""
        await asyncio.gather(*self._in_flight)

    async def _publish_report(self, missing: VariantsMissing, image_id: uuid.UUID, traceparent: str) -> None:
        log.warning("variants_missing", image_id=str(image_id), missing=missing.missing or "original")
        try:
            await self._publish(missing, traceparent)
        except DependencyUnavailable as error:
            self._reported_at.pop(image_id, None)
            log.warning("publish_failed", type=missing.type.value, error=str(error))

    async def _publish(self, request: RequestEvent, traceparent: str) -> None:
        event = to_cloud_event(request, by="gateway", traceparent=traceparent)
        await self.publisher_executor.run(self.publisher.publish_event, event)
        TRACKER_REQUESTS.labels(request.type.value).inc()


def _make_retry(
    row: ImageRow, now: datetime, *, operator: str | None = None, forced: bool = False
) -> RetryRequested:
    return RetryRequested(
        key=row.key,
        object_version=ObjectVersion.parse(row.object_version or ""),
        after=row.run_id,
        run_id=next_run_id(row.run_id, now),
        operator=operator,
        forced=forced,
    )


def check_failed(row: ImageRow, *, force: bool = False) -> None:
    """Raise Problem unless the image is FAILED, and a retry can help; ``force`` leaves out the latter."""
    if row.status == Status.DELETED:
        raise Problem(Code.GONE)
    if row.status in _RUNNING:
        raise Problem(Code.ALREADY_RUNNING, f"the image is {row.status}")
    if row.status != Status.FAILED or row.error is None or row.object_version is None:
        raise Problem(Code.NOT_FAILED, f"the image is {row.status}")
    failure = Failure.model_validate(row.error)
    if not (failure.retryable or force):
        raise Problem(Code.NOT_RETRYABLE, f"the image failed with {failure.code.value}")


def check_retryable(row: ImageRow, now: datetime, seconds: float) -> None:
    """Raise Problem if the image cannot be retried now.

    The first failure may be retried at once, later ones ``seconds`` after they occurred.
    """
    check_failed(row)
    remaining = seconds - (now - row.updated_at).total_seconds() if row.run_id else 0
    if remaining > 0:
        headers = {"Retry-After": str(max(1, round(remaining + 0.5)))}
        raise Problem(Code.RETRIED_TOO_SOON, f"try again in {remaining:.0f} s", headers=headers)
