"""Requests of operators in Postgres."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from pydantic_core import to_json

from thumbmill.tracker.db.connection import execute
from thumbmill.tracker.db.repository import Repository
from thumbmill.tracker.image_record import ImageRecord
from thumbmill.tracker.on_demand.request import OperatorRequest, Progress, RequestKind, RequestState

MAX_OPEN = 20  # requests that wait or run, of all kinds together
KEPT = timedelta(days=30)  # how long a finished request stays
_TOO_MANY = f"{MAX_OPEN} requests are open: wait for them, or cancel some"


class TooManyRequestsError(ValueError):
    """Too many requests are open to accept another one."""


class RequestRepository:
    """Belongs to one thread, as its repository does. Every method raises what the repository raises."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def add(
        self, kind: RequestKind, parameters: dict[str, Any], *, dry_run: bool, requested_by: str
    ) -> OperatorRequest:
        """Add a request, and remove old finished ones. Raise TooManyRequestsError if MAX_OPEN are open."""
        found = self._execute(
            "add_request",
            kind=kind.value,
            parameters=to_json(parameters).decode(),
            dry_run=dry_run,
            requested_by=requested_by,
            limit=MAX_OPEN,
            age=KEPT,
        )
        if found is None:
            raise TooManyRequestsError(_TOO_MANY)
        return found

    def add_order(
        self, event_id: UUID, kind: RequestKind, parameters: dict[str, Any], *, dry_run: bool, requested_by: str
    ) -> None:
        """Add the request of a message, once. If MAX_OPEN are open, it is added as FAILED, with the reason."""
        self._execute(
            "add_order",
            event_id=event_id,
            kind=kind.value,
            parameters=to_json(parameters).decode(),
            dry_run=dry_run,
            requested_by=requested_by,
            limit=MAX_OPEN,
            error=_TOO_MANY,
        )

    def find(self, kind: RequestKind, request_id: int | None = None) -> OperatorRequest | None:
        """Return a request by its ID, or the latest of its kind."""
        return self._execute("find_request", kind=kind.value, id=request_id)

    def start_next(self, kind: RequestKind) -> OperatorRequest | None:
        """Return the oldest open request, which counts as RUNNING from now on."""
        return self._execute("start_request", kind=kind.value)

    def save(
        self,
        request_id: int,
        progress: Progress,
        *,
        state: RequestState = RequestState.RUNNING,
        error: str = "",
    ) -> bool:
        """Save how far a running request has come. Return False if it was cancelled meanwhile."""
        found = self._execute(
            "save_request",
            id=request_id,
            report=to_json(progress.report).decode(),
            position=to_json(progress.position).decode(),
            state=state.value,
            error=error,
        )
        return found is not None

    def add_redriven(self, request_id: int, row: ImageRecord, run_id: str) -> None:
        """Add an image that a request processes again in a new run."""
        code = row.error.code.value if row.error else ""
        with self._repository.connected() as connection:
            execute(
                connection,
                "add_redriven",
                request=request_id,
                image_id=row.id,
                generation=row.generation,
                code=code,
                run_id=run_id,
            )

    def cancel(self, kind: RequestKind, request_id: int) -> OperatorRequest | None:
        """Cancel a request if it is open, and return it as it is then."""
        return self._execute("cancel_request", kind=kind.value, id=request_id) or self.find(kind, request_id)

    def _execute(self, statement: str, **values: Any) -> OperatorRequest | None:
        with self._repository.connected() as connection:
            found = execute(connection, statement, **values).fetchone()
        return _to_request(found) if found else None


def _to_request(record: dict[str, Any]) -> OperatorRequest:
    return OperatorRequest(
        id=record["id"],
        kind=RequestKind(record["kind"]),
        parameters=record["parameters"],
        dry_run=record["dry_run"],
        requested_by=record["requested_by"],
        requested_at=record["requested_at"],
        state=RequestState(record["state"]),
        progress=Progress(record["report"] or {}, record["position"] or {}),
        error=record["error"],
        event_id=record["event_id"],
    )
