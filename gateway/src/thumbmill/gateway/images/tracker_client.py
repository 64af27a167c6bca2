"""What clients ask of the system through the tracker: another try, and what was lost made again.

The gateway writes nothing; it publishes a fact with confirm, and the tracker decides by its own row and the bucket.
"""

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from thumbmill.core.contracts.cloud_event import to_cloud_event
from thumbmill.core.contracts.error_codes import Failure
from thumbmill.core.contracts.events import RequestEvent
from thumbmill.core.contracts.identity import ObjectVersion
from thumbmill.core.contracts.interventions import RetryRequested, VariantsMissing, next_run_id
from thumbmill.core.contracts.status import Status
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.images.repository import ImageRow
from thumbmill.gateway.metrics import TRACKER_REQUESTS
from thumbmill.gateway.problems import Code, Problem

log = structlog.get_logger()

REPORT_INTERVAL_SECONDS = 60.0  # an image's variants are asked for at most so often
MAX_REMEMBERED = 10_000  # images that were asked for; the tracker keeps count, too
MAX_IN_FLIGHT = 16  # facts under way that nobody waits for

_RUNNING = frozenset({Status.PENDING, Status.PROCESSING})


@dataclass
class TrackerClient:
    """Publishes what is asked for, in the publisher's own thread."""

    publisher: Publisher
    publisher_executor: BoundedExecutor
    retry_seconds: float  # between a failure and another try of the same image, after the first
    _missed: "OrderedDict[uuid.UUID, float]" = field(default_factory=OrderedDict)  # when, the oldest first
    _telling: set["asyncio.Task[None]"] = field(default_factory=set)

    async def retry(self, row: ImageRow, traceparent: str) -> None:
        """Ask for another try. Raises Problem where there is to be none, DependencyAway without a broker."""
        now = datetime.now(UTC)
        check_retryable(row, now, self.retry_seconds)
        object_version = ObjectVersion.parse(row.object_version or "")
        asked = RetryRequested(
            key=row.key, object_version=object_version, after=row.run_id, run_id=next_run_id(row.run_id, now)
        )
        await self._say(asked, traceparent)

    def report_missing(self, row: ImageRow, keys: Sequence[str], traceparent: str) -> None:
        """Tell the tracker of variants that are not there, or, without keys, of the original; return at once."""
        loop = asyncio.get_running_loop()
        last = self._missed.get(row.id)
        if row.object_version is None or (last is not None and loop.time() - last < REPORT_INTERVAL_SECONDS):
            return
        if len(self._telling) >= MAX_IN_FLIGHT:
            return  # the next who asks, or reconciliation
        self._missed[row.id] = loop.time()
        self._missed.move_to_end(row.id)
        if len(self._missed) > MAX_REMEMBERED:
            self._missed.popitem(last=False)
        run_id = next_run_id(row.run_id)
        missing = VariantsMissing(
            key=row.key, object_version=ObjectVersion.parse(row.object_version), missing=list(keys), run_id=run_id
        )
        task = asyncio.create_task(self._tell(missing, row.id, traceparent))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def close(self) -> None:
        """Wait until what is under way has been told, or could not be."""
        await asyncio.gather(*self._telling)

    async def _tell(self, missing: VariantsMissing, image_id: uuid.UUID, traceparent: str) -> None:
        log.warning("variants_missing", image_id=str(image_id), missing=missing.missing or "original")
        try:
            await self._say(missing, traceparent)
        except DependencyUnavailable as error:
            self._missed.pop(image_id, None)
            log.warning("cannot_tell", what=missing.type.value, error=str(error))

    async def _say(self, said: RequestEvent, traceparent: str) -> None:
        event = to_cloud_event(said, by="gateway", traceparent=traceparent)
        await self.publisher_executor.run(self.publisher.publish_event, event)
        TRACKER_REQUESTS.labels(said.type.value).inc()


def check_retryable(row: ImageRow, now: datetime, seconds: float) -> None:
    """Let pass an image that another try may help, or raise the Problem that says why not.

    A first failure may be tried again at once, later ones ``seconds`` after they showed.
    """
    if row.status == Status.DELETED:
        raise Problem(Code.GONE)
    if row.status in _RUNNING:
        raise Problem(Code.ALREADY_RUNNING, f"the image is {row.status}")
    if row.status != Status.FAILED or row.error is None or row.object_version is None:
        raise Problem(Code.NOT_FAILED, f"the image is {row.status}")
    error = Failure.model_validate(row.error)
    if not error.retryable:
        raise Problem(Code.NOT_RETRYABLE, f"it failed as {error.code.value}")
    left = seconds - (now - row.updated_at).total_seconds() if row.run_id else 0
    if left > 0:
        headers = {"Retry-After": str(max(1, round(left + 0.5)))}
        raise Problem(Code.RETRIED_TOO_SOON, f"it has just failed again: wait {left:.0f} s", headers=headers)
