"""Reconciliation makes the rows agree with the buckets, even after events were lost.

A pass scans the originals and then the variants, a page at a time together with the rows of the same range
(``scan``). A difference is suspected drift; ``drift`` classifies it, and ``repair`` checks again and repairs it.
The cursor is in Postgres: after a restart this tracker, or another one, continues there. A pass that an operator
requested runs in the same loop, at once and without a pause between its batches.

One tracker reconciles at a time, by an advisory lock that is held for a batch, or for a requested pass. Each batch
sets the time before which no tracker takes the next one, so the limit of objects a minute holds for all of them.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from functools import partial
from threading import Event
from time import monotonic, time
from typing import Any

import structlog

from thumbmill.core.contracts.identity import ORIGINALS_BUCKET
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.object_store.store import Storage
from thumbmill.tracker.background import ShutdownRequested
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.handler import Tracker
from thumbmill.tracker.metrics import RECONCILE_OBJECTS, RECONCILE_PASS_ENDED
from thumbmill.tracker.on_demand.repository import RequestRepository
from thumbmill.tracker.on_demand.request import OperatorRequest, Progress, RequestKind
from thumbmill.tracker.on_demand.runner import RequestRunner
from thumbmill.tracker.reconciliation.barrier import LATE_SECONDS, CatchUpBarrier
from thumbmill.tracker.reconciliation.drift import DriftKind
from thumbmill.tracker.reconciliation.repair import Repairer
from thumbmill.tracker.reconciliation.repository import Cursor, ReconciliationRepository
from thumbmill.tracker.reconciliation.runs import RunRepository
from thumbmill.tracker.reconciliation.scan import Batch, Scanner
from thumbmill.tracker.retention import RetentionRules
from thumbmill.tracker.settings import Settings
from thumbmill.tracker.watermarks import Watermarks

log = structlog.get_logger()

POLL_SECONDS = 1.0  # at most, until the lock, requests and the cursor are checked again
UNAVAILABLE_SECONDS = 5.0


@dataclass
class PassReport:
    """What a pass has found so far."""

    originals: int = 0  # objects or rows compared
    variants: int = 0
    seconds: float = 0.0
    found: dict[str, int] = field(default_factory=lambda: dict.fromkeys(map(str, DriftKind), 0))
    changed: bool = True  # repaired, or only found

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Reconciler:
    """Belongs to one thread, as its parts do."""

    repository: ReconciliationRepository
    runs: RunRepository
    requests: RequestRunner
    scanner: Scanner
    repairer: Repairer
    stop: Event
    per_minute: int  # objects
    interval_seconds: Callable[[], float]  # between two passes, as of now

    def run(self) -> None:
        """Compare batch after batch until stopped. Errors are logged, and the same batch is tried again."""
        seconds = POLL_SECONDS
        while not self.stop.wait(seconds):
            try:
                seconds = min(self.run_once(), POLL_SECONDS)
                self.repairer.publisher.keep_alive()  # most passes publish nothing
            except ShutdownRequested:
                return
            except DependencyUnavailable as error:
                log.warning("background_task_waits", task="reconciliation", error=str(error))
                seconds = UNAVAILABLE_SECONDS
            except Exception:
                log.exception("background_task_failed", task="reconciliation")
                seconds = UNAVAILABLE_SECONDS

    def run_once(self) -> float:
        """Run a requested pass, or the next batch if it is due. Return the seconds until the next may be due.

        Do nothing while another tracker reconciles. Raise DependencyUnavailable or ShutdownRequested.
        """
        with self.repository.lock() as locked:
            if not locked:
                return POLL_SECONDS
            if self.requests.run_next(self.run_pass):
                return 0.0
            cursor, due_in = self.repository.read_cursor(self.interval_seconds())
            if due_in > 0:
                return due_in
            pass_id = self.runs.open_pass()
            on_found = partial(self.runs.add_image, pass_id, repaired=True)
            repairer = self.repairer.restarted(dry_run=False, on_found=on_found)
            batch = self._run_batch(cursor, self.scanner, repairer)
            pause = timedelta(minutes=batch.size / self.per_minute)
            if batch.is_last:
                RECONCILE_PASS_ENDED.set(time())
                log.info("reconciliation_pass_ended", objects=cursor.objects + batch.size)
            self.repository.save_cursor(batch.next, pause, began=cursor.is_start, ended=batch.is_last)
            self.runs.save_pass(pass_id, batch.size, repairer.found, ended=batch.is_last)
            return pause.total_seconds()

    def run_pass(self, request: OperatorRequest) -> Iterator[Progress]:
        """Run a whole pass at full speed, from where the request's progress ends. Yield progress after each batch.

        Raise DependencyUnavailable or ShutdownRequested.
        """
        report = PassReport(**request.progress.report or {"changed": not request.dry_run})
        cursor, is_last = Cursor.from_json(request.progress.position), False
        on_found = partial(self.runs.add_image, request.event_id, repaired=not request.dry_run)
        scanner = self.scanner.restarted()
        repairer = self.repairer.restarted(dry_run=request.dry_run, on_found=on_found)
        found_before, started = dict(report.found), monotonic() - report.seconds
        while not is_last:
            if self.stop.is_set():
                raise ShutdownRequested
            batch = self._run_batch(cursor, scanner, repairer)
            if cursor.bucket == ORIGINALS_BUCKET:
                report.originals += batch.size
            else:
                report.variants += batch.size
            report.found = {kind.value: found_before.get(kind, 0) + repairer.found[kind] for kind in DriftKind}
            report.seconds = monotonic() - started
            cursor, is_last = batch.next, batch.is_last
            yield Progress(report.to_json(), cursor.to_json())

    def _run_batch(self, cursor: Cursor, scanner: Scanner, repairer: Repairer) -> Batch:
        if cursor.is_start or not repairer.dry_run:  # a dry run claims nothing, and would find the same again
            repairer.repair_stuck()
        batch = scanner.scan(cursor)
        repairer.repair(batch.drifts)
        RECONCILE_OBJECTS.labels(cursor.bucket).inc(batch.size)
        return batch


def make_reconciler(
    settings: Settings,
    repository: Repository,
    storage: Storage,
    publisher: Publisher,
    stop: Event,
    *,
    late_seconds: float = LATE_SECONDS,
    interval_seconds: Callable[[float], float] = lambda usual: usual,
) -> Reconciler:
    """Build a reconciler for a thread that has this connection and this publisher to itself.

    ``interval_seconds`` turns the usual interval between two passes into the present one.
    """
    images = ReconciliationRepository(repository)
    repairer = Repairer(
        repository=images,
        tracker=Tracker(repository, storage, Watermarks(), RetentionRules.from_settings(settings)),
        storage=storage,
        publisher=publisher,
        barrier=CatchUpBarrier(images, stop, late_seconds),
        image_queue=settings.rabbitmq_queue,
        age=timedelta(seconds=settings.reconcile_after_seconds),
    )
    return Reconciler(
        repository=images,
        runs=RunRepository(repository),
        requests=RequestRunner(RequestRepository(repository), RequestKind.RECONCILIATION),
        scanner=Scanner(storage, images, settings.reconcile_after_seconds),
        repairer=repairer,
        stop=stop,
        per_minute=settings.reconcile_objects_per_minute,
        interval_seconds=lambda: interval_seconds(settings.reconcile_interval_seconds),
    )
