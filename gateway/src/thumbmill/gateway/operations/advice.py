"""What an operator should do something about, and what. Pure."""

from collections.abc import Sequence
from datetime import datetime

from thumbmill.core.messaging.topology import UNROUTED, dead_letter_queue_name
from thumbmill.gateway.operations.system_models import DeadLetterQueue, Queue, System, SystemProblem, Worker

LAG_SECONDS = 30.0  # of the tracker; a watermark that was lost is sent again after as long
STALE_SECONDS = 60.0  # of measurements that the tracker makes every ten seconds
_UNAVAILABLE = {
    "postgres": "Start Postgres, and check DATABASE_URL. Uploads are stored meanwhile; no status can be read.",
    "minio": "Start MinIO, and check MINIO_URL. Nothing can be uploaded or downloaded meanwhile.",
    "rabbitmq": "Start RabbitMQ, and check RABBITMQ_HOST. Uploads are stored, and processed when it is back. "
    "Tickets and orders are refused meanwhile.",
}


def find_problems(system: System, now: datetime) -> list[SystemProblem]:
    """Return the problems of a system, the most urgent first."""
    unavailable = [
        SystemProblem(component=server.name, problem=server.error, what_to_do=_UNAVAILABLE.get(server.name, ""))
        for server in system.dependencies
        if not server.available
    ]
    if any(problem.component == "postgres" for problem in unavailable):
        return unavailable  # everything else is unknown
    return [
        *unavailable,
        *_check_tracker(system.tracker.lag_seconds),
        *_check_workers(system.workers, bool(system.waiting and system.waiting.images)),
        *_check_dead_letters(system.dead_letters),
        *_check_queues(system.queues, now),
    ]


def _check_tracker(lag: float | None) -> list[SystemProblem]:
    advice = "Check that a status tracker is running; its /readyz names what it cannot reach. Nothing is lost."
    if lag is None:
        return [SystemProblem(component="status-tracker", problem="It has never caught up.", what_to_do=advice)]
    if lag > LAG_SECONDS:
        problem = f"It is {lag:.0f} s behind, so states and numbers are as old as that."
        return [SystemProblem(component="status-tracker", problem=problem, what_to_do=advice)]
    return []


def _check_workers(workers: Sequence[Worker], has_waiting: bool) -> list[SystemProblem]:  # noqa: FBT001 - a plain fact
    problems = [
        SystemProblem(
            component="thumbnailer",
            problem=f"Process {worker.process_id} on {worker.host} was last seen at "
            f"{worker.last_seen:%Y-%m-%d %H:%M:%S} UTC and did not stop cleanly.",
            what_to_do="Start it again, or check its host. RabbitMQ has given its images to the others.",
        )
        for worker in workers
        if worker.missing
    ]
    if not any(not worker.missing for worker in workers):
        waiting = " Images are waiting." if has_waiting else ""
        problem = f"No thumbnailer is running.{waiting}"
        return [
            SystemProblem(component="thumbnailer", problem=problem, what_to_do="Start a thumbnailer."),
            *problems,
        ]
    if len(versions := {worker.presets for worker in workers if not worker.missing}) > 1:
        problems.append(
            SystemProblem(
                component="thumbnailer",
                problem=f"Thumbnailers have different presets: {', '.join(sorted(versions))}.",
                what_to_do="Give all of them the same PRESETS_FILE and version, and restart them.",
            )
        )
    return problems


def _check_dead_letters(queues: Sequence[DeadLetterQueue]) -> list[SystemProblem]:
    return [
        SystemProblem(
            component=queue.queue,
            problem=f"{queue.messages:,} {'messages were' if queue.messages > 1 else 'message was'} given up"
            f"{_reasons(queue.reasons)}.",
            what_to_do="Remove the cause, then run `thumbmill dead redrive`; `thumbmill dead list` shows them.",
        )
        for queue in queues
        if queue.messages
    ]


def _reasons(reasons: dict[str, int]) -> str:
    named = ", ".join(f"{number:,} {code}" for code, number in sorted(reasons.items()) if code)
    return f" ({named})" if named else ""


def _check_queues(queues: Sequence[Queue], now: datetime) -> list[SystemProblem]:
    problems = [
        SystemProblem(
            component=UNROUTED,
            problem=f"{queue.ready:,} messages reached no queue.",
            what_to_do="Run infra/rabbitmq/restore.py, which restores the bindings, then `thumbmill reconcile`.",
        )
        for queue in queues
        if queue.name == UNROUTED and queue.ready
    ]
    oldest = min((queue.measured_at for queue in queues), default=now)
    if (age := (now - oldest).total_seconds()) > STALE_SECONDS:
        problems.append(
            SystemProblem(
                component="queues",
                problem=f"The lengths of the queues are {age:.0f} s old.",
                what_to_do="Check that a status tracker is running and reaches RabbitMQ.",
            )
        )
    return problems


def is_dead_letter_queue(name: str) -> bool:
    """Return whether a queue holds dead letters."""
    return name.endswith(dead_letter_queue_name(""))
