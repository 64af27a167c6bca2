"""A request of an operator, as its row describes it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

_NO_EVENT = UUID(int=0)


class RequestKind(StrEnum):
    """What is requested."""

    RECONCILIATION = "reconciliation"
    RETRY = "retry"


class RequestState(StrEnum):
    """How far a request has come. If its tracker dies, a request stays RUNNING until another one continues it."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Progress:
    """What a request has done so far, and where another tracker would continue. Both can be written as JSON."""

    report: dict[str, Any] = field(default_factory=dict)
    position: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OperatorRequest:
    """One request; requests of a kind run one after another, in the order of their IDs."""

    id: int
    kind: RequestKind
    parameters: dict[str, Any]
    dry_run: bool
    requested_by: str
    requested_at: datetime
    state: RequestState
    progress: Progress
    error: str
    event_id: UUID = _NO_EVENT  # by which the API names it

    def to_json(self) -> dict[str, object]:
        """Return what the admin port shows."""
        return {
            "id": self.id,
            "kind": self.kind.value,
            "state": self.state.value,
            "dry_run": self.dry_run,
            "requested_by": self.requested_by,
            "requested_at": self.requested_at.isoformat(),
            "report": self.progress.report or None,
            "error": self.error,
        }
