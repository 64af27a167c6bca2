"""Retries on demand: FAILED images of a kind are processed again, at most some a second.

A request can do no more than the images' owners can do one by one. Each failure is retried once, however often that
is requested; so a request that another tracker continues repeats nothing.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from thumbmill.core.contracts.cloud_event import to_cloud_event
from thumbmill.core.contracts.error_codes import RETRYABLE, ErrorCode
from thumbmill.core.contracts.interventions import RetryRequested, next_run_id
from thumbmill.core.contracts.system_events import REDRIVES_PER_SECOND
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.tracker.background import ShutdownRequested
from thumbmill.tracker.db.connection import execute
from thumbmill.tracker.db.repository import Repository, to_image_record
from thumbmill.tracker.handler import Tracker
from thumbmill.tracker.image_record import MIN_DATETIME, ImageRecord
from thumbmill.tracker.on_demand.repository import RequestRepository
from thumbmill.tracker.on_demand.request import OperatorRequest, Progress, RequestKind
from thumbmill.tracker.on_demand.runner import RequestRunner
from thumbmill.tracker.timeline import from_lifecycle_event

PAGE = 50  # rows at once: progress is saved, and a cancelled request ends, after a second
MAX_SHOWN = 100  # images that a report names
POLL_SECONDS = 1.0  # until requests are checked again
LOCK = 0x7468756D64  # an arbitrary number that nothing else uses
_FIRST = UUID(int=0)


class RetryParameters(BaseModel):
    """Which images, and who asks. An empty filter matches all; without ``force``, no final error code does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    codes: frozenset[ErrorCode] = frozenset()
    ids: frozenset[UUID] = frozenset()
    since: datetime | None = None  # when they failed
    until: datetime | None = None
    operator: str = Field(min_length=1, max_length=200)
    source: Literal["cli", "gateway"] = "cli"  # as the timeline shows it
    dry_run: StrictBool = False
    force: StrictBool = False


@dataclass
class RetryReport:
    """What was found so far."""

    changed: bool
    found: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    images: list[dict[str, str]] = field(default_factory=list)  # the first of them

    def add(self, row: ImageRecord) -> None:
        """Count an image."""
        code = row.error.code.value if row.error else ""
        self.found += 1
        self.codes[code] += 1
        if len(self.images) < MAX_SHOWN:
            self.images.append({"id": str(row.id), "code": code})

    def to_json(self) -> dict[str, Any]:
        return {
            "changed": self.changed,
            "found": self.found,
            "codes": dict(self.codes),
            "images": list(self.images),
        }


@dataclass(frozen=True)
class Retrier:
    """Belongs to one thread, as its parts do."""

    repository: Repository
    tracker: Tracker
    publisher: Publisher
    stop: Event

    def run_once(self) -> None:
        """Run the requests that are open, unless another tracker does. Raise DependencyUnavailable."""
        runner = RequestRunner(RequestRepository(self.repository), RequestKind.RETRY)
        with self.repository.advisory_lock(LOCK) as locked:
            while locked and not self.stop.is_set() and runner.run_next(self.execute):
                pass
        self.publisher.keep_alive()

    def execute(self, request: OperatorRequest) -> Iterator[Progress]:
        """Request another run of each image, and yield progress after each page.

        Raise DependencyUnavailable, or ShutdownRequested.
        """
        dry_run, operator = request.dry_run, request.requested_by
        parameters = RetryParameters(**request.parameters, operator=operator, dry_run=dry_run)
        report, last = _resume(request)
        while page := self._find_page(parameters, last):
            for row in page:
                if not dry_run:
                    self._retry(request.id, row, parameters)
                    if self.stop.wait(1 / REDRIVES_PER_SECOND):
                        raise ShutdownRequested
                report.add(row)
            last = page[-1].id
            yield Progress(report.to_json(), {"last_id": str(last)})
        yield Progress(report.to_json(), {"last_id": str(last)})

    def _find_page(self, parameters: RetryParameters, after: UUID) -> list[ImageRecord]:
        codes = parameters.codes or frozenset(ErrorCode)
        if not parameters.force:
            codes = codes & RETRYABLE
        with self.repository.connected() as connection:
            found = execute(
                connection,
                "failed_images",
                after=after,
                codes=[code.value for code in codes],
                ids=list(parameters.ids) or None,
                since=parameters.since or MIN_DATETIME,
                until=parameters.until,
                limit=PAGE,
            )
            return [to_image_record(record) for record in found]

    def _retry(self, request_id: int, row: ImageRecord, parameters: RetryParameters) -> None:
        assert row.object_version is not None  # noqa: S101 - an image that has failed had an object
        now = datetime.now(UTC)
        payload = RetryRequested(
            key=row.key,
            object_version=row.object_version,
            after=row.run_id,
            run_id=next_run_id(row.run_id, now),
            operator=parameters.operator,
            forced=parameters.force,
        )
        RequestRepository(self.repository).add_redriven(request_id, row, payload.run_id)
        event = from_lifecycle_event(to_cloud_event(payload, by=parameters.source, now=now), payload, b"")
        self.tracker.run_follow_ups(self.tracker.record([event]), self.publisher)


def _resume(request: OperatorRequest) -> tuple[RetryReport, UUID]:
    """Return the report so far and the last image that is in it."""
    if not request.progress.report:
        return RetryReport(changed=not request.dry_run), _FIRST
    saved = request.progress.report
    report = RetryReport(saved["changed"], saved["found"], Counter(saved["codes"]), list(saved["images"]))
    return report, UUID(request.progress.position["last_id"])
