"""Events about no image: the heartbeats of workers, and orders of operators, each as a row."""

from collections.abc import Iterable

from thumbmill.core.contracts.system_events import ReconciliationRequested, RedriveRequested, WorkerAlive
from thumbmill.tracker.db.connection import execute
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.on_demand.repository import RequestRepository
from thumbmill.tracker.on_demand.request import RequestKind
from thumbmill.tracker.timeline import ReceivedSystemEvent


def record_system_events(repository: Repository, events: Iterable[ReceivedSystemEvent]) -> None:
    """Record events in their order; each can be recorded twice. Raise what the repository raises."""
    requests = RequestRepository(repository)
    for event in events:
        match event.data:
            case WorkerAlive(stopped=True):
                _execute(repository, "remove_worker", id=event.data.worker)
            case WorkerAlive():
                values = event.data.model_dump(exclude={"type", "worker", "stopped"})
                _execute(repository, "save_worker", id=event.data.worker, last_seen=event.time, **values)
            case ReconciliationRequested(operator=operator, dry_run=dry_run):
                requests.add_order(event.id, RequestKind.RECONCILIATION, {}, dry_run=dry_run, requested_by=operator)
            case RedriveRequested(operator=operator):
                parameters = event.data.model_dump(mode="json", exclude={"type", "operator"}) | {
                    "source": "gateway"
                }
                requests.add_order(event.id, RequestKind.RETRY, parameters, dry_run=False, requested_by=operator)


def _execute(repository: Repository, statement: str, **values: object) -> None:
    with repository.connected() as connection:
        execute(connection, statement, **values)
