"""The clients' operations with their responses, and what each key may contain according to them."""

import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

Outcome = Literal["acknowledged", "unknown", "refused"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True)
class Content:
    """The bytes of one upload."""

    number: int
    sha256: str
    bad: bool = False  # it must become FAILED


@dataclass(frozen=True)
class Operation:
    """One upload, or a delete (no content), with the outcome that the client saw."""

    content: Content | None
    outcome: Outcome
    at: float = field(default_factory=time.time)


@dataclass
class TrackedKey:
    """A key and its operations. One client at a time uses it, and none after an operation of unknown outcome."""

    route: str  # the upload route
    key: str | None = None  # known for uploads by S3
    image_id: str | None = None  # known once a response has named it
    idempotency_key: str = field(default_factory=lambda: f"drill {uuid.uuid4()}")  # for uploads through the gateway
    operations: list[Operation] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.image_id or self.key or "an upload without a response"

    @property
    def in_doubt(self) -> bool:
        return any(operation.outcome == "unknown" for operation in self.operations)

    @property
    def acknowledged(self) -> bool:
        return any(operation.outcome == "acknowledged" for operation in self.operations)

    def possible_contents(self) -> set[Content | None]:
        """Return what the key may contain now; None stands for no object."""
        now: set[Content | None] = {None}
        for operation in self.operations:
            if operation.outcome == "acknowledged":
                now = {operation.content}
            elif operation.outcome == "unknown":
                now = now | {operation.content}
        return now


class History:
    """All tracked keys, for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: list[TrackedKey] = []

    def add(self, tracked: TrackedKey) -> TrackedKey:
        with self._lock:
            self._keys.append(tracked)
        return tracked

    def __iter__(self) -> Iterator[TrackedKey]:
        with self._lock:
            return iter(list(self._keys))

    def count(self, outcome: Outcome) -> int:
        """Count the operations with this outcome."""
        return sum(operation.outcome == outcome for tracked in self for operation in tracked.operations)
