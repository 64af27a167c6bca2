"""``POST /retry`` on the side port: FAILED images of a kind are tried again, at most so many a second.

An order can do no more than what their owners can do one by one, and each failure is tried again once, however
often it is ordered; so the port needs no secret for it, as for a reconciliation.
"""

from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from threading import Event, Lock
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from thumbmill.core.contracts.cloud_event import to_cloud_event
from thumbmill.core.contracts.error_codes import RETRYABLE, ErrorCode
from thumbmill.core.contracts.interventions import RetryRequested, next_run_id
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.object_store.store import Storage
from thumbmill.core.service.admin_server import Command
from thumbmill.tracker.db.connection import execute
from thumbmill.tracker.db.repository import Repository, to_image_record
from thumbmill.tracker.handler import Tracker
from thumbmill.tracker.image_record import MIN_DATETIME, ImageRecord
from thumbmill.tracker.reconciliation.on_demand import Errand, Line, in_turn, run_follow_ups
from thumbmill.tracker.reconciliation.repair import StoppedError
from thumbmill.tracker.retention import Rules
from thumbmill.tracker.settings import Settings
from thumbmill.tracker.timeline import from_lifecycle_event
from thumbmill.tracker.watermarks import Watermarks

PATH = "/retry"
NAME = "status-tracker retry on demand"
BY = "cli"  # as the timeline has it
PAGE = 200  # rows at once
SHOWN = 100  # images that a report names
PER_SECOND = 50
_FIRST = UUID(int=0)


class Wishes(BaseModel):
    """Which images, and who asks. Unset is any; without ``force``, codes that cannot help are left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    codes: frozenset[ErrorCode] = frozenset()
    ids: frozenset[UUID] = frozenset()
    since: datetime | None = None  # when they failed
    operator: str = Field(min_length=1, max_length=200)
    dry_run: bool = False
    force: bool = False


@dataclass
class RetryReport:
    """What was found so far."""

    changed: bool
    found: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    images: list[dict[str, str]] = field(default_factory=list)  # the first of them

    def to_dict(self) -> dict[str, object]:
        return asdict(self) | {"codes": dict(self.codes)}


@dataclass(frozen=True)
class Retrier:
    """Belongs to one thread, as what it is made of does."""

    repository: Repository
    tracker: Tracker
    publisher: Publisher
    wishes: Wishes

    def run(self, stop: Event) -> Iterator[RetryReport]:
        """Ask for another try of each image, and report after each page. Raises DependencyAway, StoppedError."""
        report = RetryReport(changed=not self.wishes.dry_run)
        last = _FIRST
        while page := self._page(last):
            for row in page:
                if not self.wishes.dry_run:
                    self._ask(row)
                    if stop.wait(1 / PER_SECOND):
                        raise StoppedError
                code = row.error.code.value if row.error else ""
                report.found += 1
                report.codes[code] += 1
                if len(report.images) < SHOWN:
                    report.images.append({"id": str(row.id), "code": code})
            last = page[-1].id
            yield report
        yield report

    def _page(self, after: UUID) -> list[ImageRecord]:
        wishes = self.wishes
        codes = wishes.codes or frozenset(ErrorCode)
        if not wishes.force:
            codes = codes & RETRYABLE
        with self.repository.connected() as connection:
            found = execute(
                connection,
                "failed_images",
                after=after,
                codes=[code.value for code in codes],
                ids=list(wishes.ids) or None,
                since=wishes.since or MIN_DATETIME,
                limit=PAGE,
            )
            return [to_image_record(record) for record in found]

    def _ask(self, row: ImageRecord) -> None:
        assert row.object_version is not None  # noqa: S101 - what has failed was an object
        now = datetime.now(UTC)
        payload = RetryRequested(
            key=row.key,
            object_version=row.object_version,
            after=row.run_id,
            run_id=next_run_id(row.run_id, now),
            operator=self.wishes.operator,
            forced=self.wishes.force,
        )
        fact = from_lifecycle_event(to_cloud_event(payload, by=BY, now=now), payload, b"")
        self.tracker.run_follow_ups(self.tracker.record([fact]), self.publisher)


def take_retry_orders(settings: Settings, storage: Storage, stop: Event) -> Command:
    """Give what answers an order; one is carried out at a time, and others wait."""
    turn = Lock()

    def retry(wishes: Mapping[str, object]) -> Generator[Line]:
        understood = Wishes.model_validate(wishes)  # raises ValueError before anything is answered
        return in_turn(turn, lambda: _carry_out(settings, storage, stop, understood))

    return retry


def _carry_out(settings: Settings, storage: Storage, stop: Event, wishes: Wishes) -> Generator[Line]:
    with closing(Repository(settings.database_url, NAME)) as repository, Publisher(settings, NAME) as publisher:
        give_up = Event()
        tracker = Tracker(repository, storage, Watermarks(), Rules.of(settings))
        retrier = Retrier(repository, tracker, publisher, wishes)
        yield from run_follow_ups(Errand(retrier.run(give_up)), stop, give_up)
