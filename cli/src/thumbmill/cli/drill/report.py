"""What is called a fault, and how a drill's counts are told."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from thumbmill.cli.drill.history import OUTCOMES, Slot

FATAL = ("lost", "wrong", "stuck", "regressed", "orphaned", "unexpected", "ended")
NOTED = ("poisoned", "overtaken", "duplicated", "healed")
MOVING = {"PENDING", "PROCESSING"}
_TOLD = 50  # faults in a report

Row = Mapping[str, Any]  # an image, as the API shows it


@dataclass
class Verdict:
    """The counts, and a line for each image that makes one of the fatal ones more than 0."""

    not_looked_at: frozenset[str] = frozenset()  # counts that nothing is known of
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*OUTCOMES, *FATAL, *NOTED), 0))
    settle_seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    @property
    def broken(self) -> list[str]:
        """The counts that have to be 0 and are not."""
        return [name for name in FATAL if self.counts[name]]

    def blame(self, name: str, what: str) -> None:
        """Count a fault."""
        self.counts[name] += 1
        self.faults.append(f"{name}: {what}")

    def report(self) -> str:
        """Write the counts as a table, and what is to be complained of under it."""
        lines = [
            f"  {name:<14}{'not looked at' if name in self.not_looked_at else f'{count:>7}'}"
            for name, count in self.counts.items()
        ]
        lines.append(f"  {'settled after':<14}{self.settle_seconds:>6.0f} s")
        lines += [f"  {fault}" for fault in self.faults[:_TOLD]]
        more = len(self.faults) - _TOLD
        lines += [f"  and {more} more"] if more > 0 else []
        lines.append(f"FAILED: {', '.join(self.broken)}" if self.broken else "passed: nothing was lost")
        return "\n".join(lines)


def complain(slot: Slot, row: Row | None) -> tuple[str, str] | None:
    """Say what is not right about a key's status; whether its thumbnails are, is another question."""
    contents = [content for content in slot.possible() if content]
    if row is None or row["status"] in {"AWAITING_UPLOAD", "EXPIRED", "DELETED"}:
        if None in slot.possible():
            return None
        told = time.strftime("%H:%M:%S", time.localtime(slot.steps[-1].at))
        found = row["status"] if row else "unknown"
        return "lost", f"{slot.name} ({slot.door}) was acknowledged at {told} and is {found}"
    if row["status"] in MOVING:
        return "stuck", f"{slot.name} is {row['status']}"
    if row["status"] == "FAILED":
        if any(content.bad for content in contents):
            return None
        return "wrong", f"{slot.name} is FAILED ({row['error']['code']}), though its photo is whole"
    # A bad photo may be shown where the system's settings say so, and must be called damaged then.
    if not any(content.sha256 == row["sha256"] and content.bad == row["damaged"] for content in contents):
        return "wrong", f"{slot.name} is DONE with bytes that nobody sent there last"
    return None


def strangers(rows: Mapping[str, Row], slots: Iterable[Slot], digest: Callable[[str], str | None]) -> list[str]:
    """Find those of the rows without a slot that no lost answer explains.

    An upload without an answer is known by its bytes, whose SHA-256 ``digest`` gives. A ticket without one is as
    good as any other that nobody has used.
    """
    slots = list(slots)
    tickets = sum(slot.door == "ticket" and slot.image_id is None for slot in slots)
    in_doubt = {step.content.sha256 for slot in slots if slot.in_doubt for step in slot.steps if step.content}
    unused = [image_id for image_id, row in rows.items() if row["status"] in {"AWAITING_UPLOAD", "EXPIRED"}]
    stored = [image_id for image_id in rows if image_id not in unused]
    return unused[tickets:] + [image_id for image_id in stored if digest(image_id) not in in_doubt]


def overtaken(timeline: list[Row]) -> int:
    """Count the photos that were overwritten or deleted between the beginning and the end of their processing."""
    began: dict[str, datetime] = {}
    ended: dict[str, datetime] = {}
    changes: list[tuple[str | None, datetime]] = []
    for event in timeline:
        kind, object_version, at = event["type"], event["object_version"], datetime.fromisoformat(event["occurred"])
        if kind == "image.processing":
            began[object_version] = min(at, began.get(object_version, at))
        elif kind in {"image.done", "image.failed"}:
            ended[object_version] = min(at, ended.get(object_version, at))
        elif kind.startswith("storage."):
            changes.append((object_version, at))
    return sum(
        any(
            other != object_version and start < at and (object_version not in ended or at < ended[object_version])
            for other, at in changes
        )
        for object_version, start in began.items()
    )
