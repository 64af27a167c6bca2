"""What became of everything that was sent: each key is looked up, each thumbnail read, each bucket listed."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from drill import photos
from drill.doors import PROCESSED, Access
from drill.ledger import OUTCOMES, Ledger, Slot
from drill.observer import Observer, regressions

FATAL = ("lost", "wrong", "stuck", "regressed", "orphaned", "unexpected", "ended")
NOTED = ("poisoned", "overtaken", "duplicated", "healed")
_MOVING = {"PENDING", "PROCESSING"}
Row = dict[str, Any]  # an image, as the API shows it
_TICK = threading.Event()  # never set
_PATIENCE = 30  # seconds for one answer: nothing is broken any more when we ask


@dataclass
class Verdict:
    """The counts, and a line for each image that makes one of the fatal ones more than 0."""

    counts: dict[str, int] = field(default_factory=dict)
    settle_seconds: float = 0.0
    faults: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not any(self.counts[name] for name in FATAL)

    def blame(self, name: str, what: str) -> None:
        self.counts[name] += 1
        self.faults.append(f"{name}: {what}")


class Examiner:
    """Asks a system at rest; whatever it asks must be answered."""

    def __init__(self, access: Access, ledger: Ledger) -> None:
        self._ledger = ledger
        self._http = access.http()
        self._s3 = access.s3()

    def close(self) -> None:
        self._http.close()
        self._s3.close()

    # --- settling ------------------------------------------------------------------------------------------

    def settle(self, seconds: float, say: Callable[[str], None]) -> float:
        """Wait until nothing moves any more, or time is up; give the seconds it took."""
        started = last_said = time.monotonic()
        while (moving := self._moving()) and time.monotonic() < started + seconds:
            if time.monotonic() > last_said + 5:
                last_said = time.monotonic()
                say(f"settling: {len(moving)} images are not there yet ({last_said - started:.0f} s)")
            _TICK.wait(0.5)
        return time.monotonic() - started

    def _moving(self) -> list[str]:
        """Find what may still change by itself: images on their way, and originals or variants that disagree."""
        rows = self._read_rows()
        moving = [row["id"] for row in rows.by_id.values() if row["status"] in _MOVING]
        moving += [slot.name for slot in self._ledger if complain(slot, rows.find(slot))]
        return moving + self._find_orphans(rows)

    # --- judging -------------------------------------------------------------------------------------------

    def judge(self, observer: Observer) -> Verdict:
        """Count what a drill counts."""
        verdict = Verdict(dict.fromkeys((*OUTCOMES, *FATAL, *NOTED), 0))
        for outcome in OUTCOMES:
            verdict.counts[outcome] = self._ledger.count(outcome)
        rows = self._read_rows()
        for slot in self._ledger:
            self._judge_slot(slot, rows.find(slot), verdict)
        for image_id in self._find_strangers(rows):
            verdict.blame("unexpected", f"{image_id} was sent by nobody")
        for orphan in self._find_orphans(rows):
            verdict.blame("orphaned", orphan)
        for name in observer.false_404s:
            verdict.blame("regressed", f"{name} was a 404 after its upload had been acknowledged")
        for image_id, sights in observer.sights.items():
            for fault in regressions(sights):
                verdict.blame("regressed", f"{image_id}: {fault}")
        return verdict

    def _judge_slot(self, slot: Slot, row: Row | None, verdict: Verdict) -> None:
        if complaint := complain(slot, row):
            verdict.blame(*complaint)
        if row is None:
            return
        if not complaint and row["status"] == "DONE" and (fault := self._look_at_thumbnails(slot, row)):
            verdict.blame("wrong", f"{row['id']} {fault}")
        timeline = self._read_timeline(row["id"])
        types = [event["type"] for event in timeline]
        verdict.counts["poisoned"] += row["status"] == "FAILED"
        verdict.counts["overtaken"] += overtaken(timeline)
        verdict.counts["duplicated"] += max(0, types.count("image.processing") - row["generation"])
        verdict.counts["healed"] += types.count("tracker.healed")

    def _find_strangers(self, rows: "Rows") -> list[str]:
        """Find rows that no slot has, nor an upload without an answer: such a one's number is on its photo."""
        known = {row["id"] for slot in self._ledger if (row := rows.find(slot))}
        unanswered = [slot for slot in self._ledger if slot.in_doubt]
        unnamed = {step.content.number for slot in unanswered for step in slot.steps if step.content}
        strangers = rows.by_id.keys() - known
        return [one for one in strangers if photos.read(self._variant(one, "original")) not in unnamed]

    def _look_at_thumbnails(self, slot: Slot, row: Row) -> str:
        expected = next(c.number for c in slot.possible() if c and c.sha256 == row["sha256"])
        for variant in row["variants"]:
            shown = photos.read(self._variant(row["id"], variant["type"]))
            if shown != expected:
                return f"shows {shown} as its {variant['type']}, not {expected}"
        return ""

    def _read_timeline(self, image_id: str) -> list[Row]:
        items: list[Row] = self._get(f"/api/v1/images/{image_id}/events").json()["items"]
        return items

    def _find_orphans(self, rows: "Rows") -> list[str]:
        """Find variants without a picture: of no image, or of bytes that are no longer the image's."""
        return [key for key in self._list(PROCESSED) if not _belongs(key, rows)]

    # --- asking --------------------------------------------------------------------------------------------

    def _read_rows(self) -> "Rows":
        rows = list(self._pages())
        return Rows({row["id"]: row for row in rows}, {row["key"]: row for row in rows})

    def _pages(self) -> Iterator[Row]:
        cursor: dict[str, str] = {}
        while True:
            page = self._get("/api/v1/images", limit="200", **cursor).json()
            yield from page["items"]
            if not page["next"]:
                return
            cursor = {"cursor": page["next"]}

    def _variant(self, image_id: str, kind: str) -> bytes:
        return self._get(f"/api/v1/images/{image_id}/variants/{kind}").content

    def _get(self, path: str, **parameters: str) -> httpx.Response:
        deadline = time.monotonic() + _PATIENCE
        while True:
            answer = self._http.get(path, params=parameters)
            if answer.status_code < 500 or time.monotonic() > deadline:
                return answer
            _TICK.wait(0.5)

    def _list(self, bucket: str) -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return [thing["Key"] for page in pages for thing in page.get("Contents", [])]


@dataclass(frozen=True)
class Rows:
    """What the API lists."""

    by_id: dict[str, Row]
    by_key: dict[str, Row]

    def find(self, slot: Slot) -> Row | None:
        return self.by_id.get(slot.image_id) if slot.image_id else self.by_key.get(slot.key or "")


def complain(slot: Slot, row: Row | None) -> tuple[str, str] | None:
    """Say what is not right about a key's status; whether its thumbnails are, is another question."""
    contents = [content for content in slot.possible() if content]
    if row is None or row["status"] in {"AWAITING_UPLOAD", "EXPIRED", "DELETED"}:
        if None in slot.possible():
            return None
        told = time.strftime("%H:%M:%S", time.localtime(slot.steps[-1].at))
        return (
            "lost",
            f"{slot.name} ({slot.door}) was acknowledged at {told} and is {row['status'] if row else 'unknown'}",
        )
    if row["status"] in _MOVING:
        return "stuck", f"{slot.name} is {row['status']}"
    if row["status"] == "FAILED":
        if any(content.bad for content in contents):
            return None
        return "wrong", f"{slot.name} is FAILED ({row['error']['code']}), though its photo is whole"
    if not any(content.sha256 == row["sha256"] and not content.bad for content in contents):
        return "wrong", f"{slot.name} is DONE with bytes that nobody sent there last"
    return None


def overtaken(timeline: list[Row]) -> int:
    """Count the photos that were overwritten or deleted between the beginning and the end of their processing."""
    began: dict[str, datetime] = {}
    ended: dict[str, datetime] = {}
    changes: list[tuple[str | None, datetime]] = []
    for event in timeline:
        kind, source, at = event["type"], event["source"], datetime.fromisoformat(event["occurred"])
        if kind == "image.processing":
            began[source] = min(at, began.get(source, at))
        elif kind in {"image.done", "image.failed"}:
            ended[source] = min(at, ended.get(source, at))
        elif kind.startswith("storage."):
            changes.append((source, at))
    return sum(
        any(other != source and start < at and (source not in ended or at < ended[source]) for other, at in changes)
        for source, start in began.items()
    )


def _belongs(key: str, rows: Rows) -> bool:
    image_id, content, _ = key.split("/")
    row = rows.by_id.get(image_id)
    return bool(row and row["status"] == "DONE" and content.startswith(f"{row['sha256'][:16]}-"))
