"""The checks of a drill's images, and the table of its counts. Pure."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from thumbmill.cli.drill.history import OUTCOMES, TrackedKey
from thumbmill.cli.drill.watcher import sequence_number

FATAL = ("lost", "wrong", "stuck", "regressed", "unannounced", "orphaned", "unexpected", "doubled", "exited")
NOTED = ("failed", "overtaken", "duplicated", "repaired")
MOVING = {"PENDING", "PROCESSING"}
_MAX_ERRORS = 50  # printed

Row = Mapping[str, Any]  # an image in an API response


@dataclass
class CheckResult:
    """The counts, and one line for each error that raised a fatal count."""

    unchecked: frozenset[str] = frozenset()  # counts that cannot be known here
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*OUTCOMES, *FATAL, *NOTED), 0))
    settle_seconds: float = 0.0
    errors: list[str] = field(default_factory=list)

    @property
    def failed_counts(self) -> list[str]:
        """The names of the counts that have to be 0 and are not."""
        return [name for name in FATAL if self.counts[name]]

    def add_error(self, name: str, description: str) -> None:
        """Raise a fatal count by one."""
        self.counts[name] += 1
        self.errors.append(f"{name}: {description}")

    def report(self) -> str:
        """Return the table of counts, with the errors below it."""
        lines = [
            f"  {name:<14}{'not checked' if name in self.unchecked else f'{count:>7}'}"
            for name, count in self.counts.items()
        ]
        lines.append(f"  {'settled after':<14}{self.settle_seconds:>6.0f} s")
        lines += [f"  {error}" for error in self.errors[:_MAX_ERRORS]]
        more = len(self.errors) - _MAX_ERRORS
        lines += [f"  and {more} more"] if more > 0 else []
        failed = ", ".join(self.failed_counts)
        lines.append(f"FAILED: {failed}" if failed else "passed: nothing was lost")
        return "\n".join(lines)


def check_key(tracked: TrackedKey, row: Row | None) -> tuple[str, str] | None:
    """Return the count and the description of an error in a key's status; thumbnails are checked elsewhere."""
    contents = [content for content in tracked.possible_contents() if content]
    if row is None or row["status"] in {"AWAITING_UPLOAD", "EXPIRED", "DELETED"}:
        if None in tracked.possible_contents():
            return None
        acknowledged_at = time.strftime("%H:%M:%S", time.localtime(tracked.operations[-1].at))
        status = row["status"] if row else "unknown to the API"
        return "lost", f"{tracked.name} ({tracked.route}) was acknowledged at {acknowledged_at} and is {status}"
    if row["status"] in MOVING:
        return "stuck", f"{tracked.name} is {row['status']}"
    if row["status"] == "FAILED":
        if any(content.bad for content in contents):
            return None
        return "wrong", f"{tracked.name} is FAILED ({row['error']['code']}), but its image is valid"
    # A bad image may be DONE where ACCEPT_DAMAGED allows it, and must be marked as damaged then.
    if not any(content.sha256 == row["sha256"] and content.bad == row["damaged"] for content in contents):
        return "wrong", f"{tracked.name} is DONE with bytes that were not the last upload"
    return None


def unannounced(row: Row, last_id: str | None) -> str:
    """Return what is wrong if the stream's last event of an image is older than the image's last change."""
    wanted = row["event_id"]
    if wanted is None or sequence_number(last_id or "") >= sequence_number(wanted):
        return ""
    return f"{row['id']} is {row['status']} since {wanted}, and the stream's last event of it is {last_id}"


def unexpected_images(
    rows: Mapping[str, Row], tracked_keys: Iterable[TrackedKey], digest: Callable[[str], str | None]
) -> list[str]:
    """Return the rows without a tracked key that no lost response explains.

    An upload whose response was lost is recognized by its bytes; ``digest`` returns their SHA-256. A ticket whose
    response was lost explains any one unused ticket.
    """
    tracked_keys = list(tracked_keys)
    tickets = sum(tracked.route == "ticket" and tracked.image_id is None for tracked in tracked_keys)
    in_doubt = {
        operation.content.sha256
        for tracked in tracked_keys
        if tracked.in_doubt
        for operation in tracked.operations
        if operation.content
    }
    unused = [image_id for image_id, row in rows.items() if row["status"] in {"AWAITING_UPLOAD", "EXPIRED"}]
    stored = [image_id for image_id in rows if image_id not in unused]
    return unused[tickets:] + [image_id for image_id in stored if digest(image_id) not in in_doubt]


def doubled_uploads(digests: Mapping[str, str | None], tracked: Collection[str]) -> list[str]:
    """Return the images that an upload made in addition to its own, by the SHA-256 of their bytes.

    ``digests`` are those of images without a tracked key, and ``tracked`` those of images with one. No two uploads
    of a drill have the same bytes.
    """
    seen, doubled = set(tracked), []
    for image_id, digest in digests.items():
        if digest in seen:
            doubled.append(image_id)
        elif digest:
            seen.add(digest)
    return doubled


def overtaken(timeline: list[Row]) -> int:
    """Count the objects that were overwritten or deleted between the start and the end of their processing."""
    started: dict[str, datetime] = {}
    ended: dict[str, datetime] = {}
    changes: list[tuple[str | None, datetime]] = []
    for event in timeline:
        kind, object_version, at = event["type"], event["object_version"], datetime.fromisoformat(event["occurred"])
        if kind == "image.processing":
            started[object_version] = min(at, started.get(object_version, at))
        elif kind in {"image.done", "image.failed"}:
            ended[object_version] = min(at, ended.get(object_version, at))
        elif kind.startswith("storage."):
            changes.append((object_version, at))
    return sum(
        any(
            other != object_version and start < at and (object_version not in ended or at < ended[object_version])
            for other, at in changes
        )
        for object_version, start in started.items()
    )
