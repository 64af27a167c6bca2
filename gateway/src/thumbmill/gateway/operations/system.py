"""The state of the parts, as their heartbeats, the tracker's measurements and the gateway's own checks show it."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.messaging.topology import TRACKER_QUEUE, dead_letter_queue_name
from thumbmill.gateway.operations.advice import find_problems, is_dead_letter_queue
from thumbmill.gateway.operations.cache import Cached
from thumbmill.gateway.operations.repository import (
    RECENT_CHANGES,
    WINDOW,
    DeadLetterRow,
    OperationsRepository,
    QueueRow,
    ThroughputRow,
)
from thumbmill.gateway.operations.system_models import (
    DeadLetterOut,
    DeadLetterQueue,
    Dependency,
    Queue,
    System,
    Throughput,
    TrackerState,
    Waiting,
    Worker,
)
from thumbmill.gateway.readiness import Readiness, ReadinessReport

SERVERS = ("postgres", "minio", "rabbitmq")
MAX_DEAD_LETTERS = 100  # shown of one queue


class SystemReports:
    """The state of the system for any number of readers."""

    def __init__(self, repository: OperationsRepository, readiness: Readiness, *, operator_actions: bool) -> None:
        self._repository = repository
        self._readiness = readiness
        self._operator_actions = operator_actions
        self._cached = Cached(self._read)

    async def get(self) -> System:
        """Return the latest state; an unavailable server is part of it."""
        return await self._cached.get()

    async def _read(self) -> System:
        report = await self._readiness.check()
        system = System(
            at=datetime.now(UTC),
            problems=[],
            dependencies=to_dependencies(report),
            tracker=TrackerState(),
            queues=[],
            dead_letters=[],
            workers=[],
            operator_actions=self._operator_actions,
        )
        try:
            await self._add_rows(system)
        except DependencyUnavailable as error:
            _report_unavailable(system.dependencies, error)
        system.problems = find_problems(system, system.at)
        return system

    async def _add_rows(self, system: System) -> None:
        repository = self._repository
        waiting = await repository.waiting()
        system.waiting = Waiting(images=waiting.images, oldest_seconds=waiting.oldest_seconds)
        if waiting.caught_up_to:
            lag = max(0.0, (system.at - waiting.caught_up_to).total_seconds())
            system.tracker = TrackerState(caught_up_to=waiting.caught_up_to, lag_seconds=lag)
        system.workers = [Worker.model_validate(asdict(row)) for row in await repository.workers()]
        queues = await repository.queues()
        system.queues = to_queues(queues, system.workers)
        system.dead_letters = to_dead_letter_queues(queues, await repository.dead_letters())
        system.throughput = to_throughput(await repository.throughput())


def to_dependencies(report: ReadinessReport) -> list[Dependency]:
    """Return all servers that the gateway needs."""
    errors = report.unavailable | report.degraded
    return [Dependency(name=name, available=name not in errors, error=errors.get(name, "")) for name in SERVERS]


def _report_unavailable(dependencies: list[Dependency], error: DependencyUnavailable) -> None:
    for dependency in dependencies:
        if dependency.name == "postgres" and dependency.available:
            dependency.available, dependency.error = False, str(error)


def to_queues(rows: Sequence[QueueRow], workers: Sequence[Worker]) -> list[Queue]:
    """Return the queues. What the thumbnailers have not acknowledged is known by their heartbeats."""
    names = {row.name for row in rows}
    in_flight = sum(worker.in_flight for worker in workers if not worker.missing)
    return [
        Queue(
            name=row.name,
            ready=row.ready,
            unacknowledged=in_flight
            if row.name != TRACKER_QUEUE and dead_letter_queue_name(row.name) in names
            else None,
            measured_at=row.measured_at,
        )
        for row in rows
    ]


def to_dead_letter_queues(queues: Sequence[QueueRow], rows: Sequence[DeadLetterRow]) -> list[DeadLetterQueue]:
    """Return the dead letter queues, each with the messages that were read."""
    found = []
    for queue in queues:
        if is_dead_letter_queue(queue.name):
            items = [row for row in rows if row.queue == queue.name]
            found.append(
                DeadLetterQueue(
                    queue=queue.name,
                    messages=queue.ready,
                    reasons=Counter(row.code for row in items),
                    items=[DeadLetterOut.model_validate(asdict(row)) for row in items[:MAX_DEAD_LETTERS]],
                )
            )
    return found


def to_throughput(row: ThroughputRow) -> Throughput:
    """Return the figures of the window, which is shorter if there were more changes than were read."""
    whole = row.changes < RECENT_CHANGES or row.seconds is None
    seconds = WINDOW.total_seconds() if whole else max(1.0, row.seconds or 0)
    return Throughput(
        window_seconds=round(seconds, 1),
        images_per_minute=round(60 * row.images / seconds, 2),
        seconds_to_done_p50=row.p50,
        seconds_to_done_p95=row.p95,
    )
