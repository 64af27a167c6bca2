"""Reconciliation: whatever was lost, the rows end where the buckets are.

A pass goes through the originals and then through the variants, a page at a time beside the rows of the same range
(``reconcile_walk``). What differs is a suspicion; ``reconcile_rules`` says what it means, and ``reconcile_heal``
looks again and puts it right. How far the pass is stands in Postgres: there a restart or another tracker goes on.

One reconciles at a time, by an advisory lock that is held for a page. Each page sets the time before which nobody
takes the next one, so the bound on objects a minute holds for all trackers together.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from threading import Event
from time import monotonic, time

import structlog

from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, VARIANTS_BUCKET
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.messaging.publisher import Publisher
from thumbmill.core.object_store.store import Storage
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.handler import Tracker
from thumbmill.tracker.metrics import RECONCILE_OBJECTS, RECONCILE_PASS_ENDED
from thumbmill.tracker.reconciliation.drift import DriftKind
from thumbmill.tracker.reconciliation.repair import LATE_SECONDS, CatchUpBarrier, Repairer, StoppedError
from thumbmill.tracker.reconciliation.repository import Cursor, ReconciliationRepository
from thumbmill.tracker.reconciliation.scan import Batch, Scanner
from thumbmill.tracker.retention import Rules
from thumbmill.tracker.settings import Settings
from thumbmill.tracker.watermarks import Watermarks

log = structlog.get_logger()

LOCKED_SECONDS = 1.0  # before another look whether somebody else is done
LONGEST_SECONDS = 5.0  # between two looks whether a step is due: another tracker may have begun a pass
AWAY_SECONDS = 5.0


@dataclass(frozen=True)
class Report:
    """What a pass has found so far."""

    originals: int  # objects or rows compared
    variants: int
    seconds: float
    found: dict[str, int]
    changed: bool  # put right, or only found

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class Reconciler:
    """Belongs to one thread, as what it is made of does."""

    inventory: ReconciliationRepository
    scanner: Scanner
    repairer: Repairer
    per_minute: int  # objects
    interval_seconds: Callable[[], float]  # between two passes, as of now

    def run(self, stop: Event) -> None:
        """Do step after step until stopped; a fault is logged, and the same step is tried again."""
        seconds = LOCKED_SECONDS
        while not stop.wait(seconds):
            try:
                seconds = min(self.turn(), LONGEST_SECONDS)
                self.repairer.publisher.keep_alive()  # most passes have nothing to publish
            except StoppedError:
                return
            except DependencyUnavailable as away:
                log.warning("waits", what="reconciliation", fault=str(away))
                seconds = AWAY_SECONDS
            except Exception:
                log.exception("turn_failed", what="reconciliation")
                seconds = AWAY_SECONDS

    def turn(self) -> float:
        """Do a step if one is due and nobody else does; give the seconds until the next may be due.

        Raises DependencyAway, StoppedError.
        """
        with self.inventory.locked() as alone:
            if not alone:
                return LOCKED_SECONDS
            cursor, due_in = self.inventory.cursor(self.interval_seconds())
            if due_in > 0:
                return due_in
            step = self._step(cursor)
            pause = timedelta(minutes=step.size / self.per_minute)
            if step.is_last:
                RECONCILE_PASS_ENDED.set(time())
                log.info("reconciled", objects=cursor.objects + step.size)
            self.inventory.save(step.next, pause, began=cursor.is_start, ended=step.is_last)
            return pause.total_seconds()

    def run_pass(self, stop: Event) -> Iterator[Report | None]:
        """Do a whole pass now, as fast as it goes; give a report after each step, None while others reconcile.

        Raises DependencyAway, StoppedError.
        """
        while True:
            with self.inventory.locked() as alone:
                if alone:
                    yield from self._whole_pass(stop)
                    return
            yield None
            if stop.wait(LOCKED_SECONDS):
                raise StoppedError

    def _whole_pass(self, stop: Event) -> Iterator[Report]:
        began = monotonic()
        compared: Counter[str] = Counter()  # by bucket
        cursor, is_last = Cursor(), False
        while not is_last:
            if stop.is_set():
                raise StoppedError
            step = self._step(cursor)
            compared[cursor.bucket] += step.size
            cursor, is_last = step.next, step.is_last
            found = {what.value: self.repairer.found[what] for what in DriftKind}
            yield Report(
                originals=compared[ORIGINALS_BUCKET],
                variants=compared[VARIANTS_BUCKET],
                seconds=monotonic() - began,
                found=found,
                changed=not self.repairer.dry_run,
            )

    def _step(self, cursor: Cursor) -> Batch:
        if cursor.is_start or not self.repairer.dry_run:  # a dry run claims nothing, and would find the same again
            self.repairer.repair_stuck()
        step = self.scanner.step(cursor)
        self.repairer.repair(step.drifts)
        RECONCILE_OBJECTS.labels(cursor.bucket).inc(step.size)
        return step


def make_reconciler(
    settings: Settings,
    repository: Repository,
    storage: Storage,
    publisher: Publisher,
    stop: Event,
    *,
    dry_run: bool = False,
    late_seconds: float = LATE_SECONDS,
    interval_seconds: Callable[[float], float] = lambda usual: usual,
) -> Reconciler:
    """Put one together for a thread that has this connection and this publisher to itself.

    ``rest_seconds`` makes of the usual rest between two passes the present one.
    """
    inventory = ReconciliationRepository(repository)
    repairer = Repairer(
        inventory=inventory,
        repository=repository,
        tracker=Tracker(repository, storage, Watermarks(), Rules.of(settings)),
        storage=storage,
        publisher=publisher,
        patience=CatchUpBarrier(inventory, stop, late_seconds),
        image_queue=settings.rabbitmq_queue,
        age=timedelta(seconds=settings.reconcile_after_seconds),
        dry_run=dry_run,
    )
    return Reconciler(
        inventory=inventory,
        scanner=Scanner(storage, inventory, settings.reconcile_after_seconds),
        repairer=repairer,
        per_minute=settings.reconcile_objects_per_minute,
        interval_seconds=lambda: interval_seconds(settings.reconcile_interval_seconds),
    )
