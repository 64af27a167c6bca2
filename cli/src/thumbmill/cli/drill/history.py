"""What the clients know: every step they took, what they were answered, and what may therefore be in the bucket."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, get_args

Outcome = Literal["acknowledged", "maybe", "refused"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True)
class Content:
    """A photo that was sent."""

    number: int
    sha256: str
    bad: bool = False  # so that it must become FAILED


@dataclass(frozen=True)
class Step:
    """One upload, or a delete (no content), and what became of it as far as the client was told."""

    content: Content | None
    outcome: Outcome
    at: float = field(default_factory=time.time)


@dataclass
class Slot:
    """A key. One client at a time uses it, and never again after an answer that left it in doubt."""

    door: str
    key: str | None = None  # known to who chose it
    image_id: str | None = None  # known to who was told
    steps: list[Step] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.image_id or self.key or "an upload without an answer"

    @property
    def in_doubt(self) -> bool:
        return any(step.outcome == "maybe" for step in self.steps)

    @property
    def acknowledged(self) -> bool:
        return any(step.outcome == "acknowledged" for step in self.steps)

    def possible(self) -> set[Content | None]:
        """Give what the key may hold now; None stands for nothing."""
        now: set[Content | None] = {None}
        for step in self.steps:
            if step.outcome == "acknowledged":
                now = {step.content}
            elif step.outcome == "maybe":
                now = now | {step.content}
        return now


class Ledger:
    """All slots; safe for many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._slots: list[Slot] = []

    def add(self, slot: Slot) -> Slot:
        with self._lock:
            self._slots.append(slot)
        return slot

    def __iter__(self) -> Iterator[Slot]:
        with self._lock:
            return iter(list(self._slots))

    def count(self, outcome: Outcome) -> int:
        """Count the steps that were answered so."""
        return sum(step.outcome == outcome for slot in self for step in slot.steps)
