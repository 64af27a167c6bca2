"""What became of everything that was sent: each key is looked up, each thumbnail read, each bucket listed."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import httpx

from thumbmill.cli.drill import photos
from thumbmill.cli.drill.clients import Access
from thumbmill.cli.drill.history import OUTCOMES, Ledger, Slot
from thumbmill.cli.drill.poller import Observer, regressions
from thumbmill.cli.drill.progress_timeout import Patience
from thumbmill.cli.drill.report import MOVING, Row, Verdict, complain, overtaken, strangers
from thumbmill.cli.polling import pause
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, VARIANTS_BUCKET, image_id_of
from thumbmill.core.errors import DependencyRejected
from thumbmill.core.object_store.errors import ObjectNotFoundError
from thumbmill.core.object_store.store import Storage

_PATIENCE = 30  # seconds for one answer: nothing is broken any more when we ask


class NoAnswerError(Exception):
    """The system does not answer, though nothing should be broken any more."""


@dataclass(frozen=True)
class Rows:
    """What the API says."""

    by_id: dict[str, Row]

    def find(self, slot: Slot) -> Row | None:
        """Give what the API has for a slot."""
        return self.by_id.get(slot.image_id or str(image_id_of(slot.key or "")))


class Examiner:
    """Asks a system at rest; whatever it asks must be answered.

    ``alone`` says that nobody else has used the system: then all of it is looked at, else the ledger's images.
    """

    def __init__(self, access: Access, ledger: Ledger, *, alone: bool) -> None:
        self._ledger = ledger
        self._alone = alone
        self._http = access.http()
        self._store = access.store
        self._may_list = _may_list(access.store)

    def close(self) -> None:
        """Hang up."""
        self._http.close()

    # --- settling ------------------------------------------------------------------------------------------

    def settle(self, seconds: float, say: Callable[[str], None]) -> float:
        """Wait until all is as it has to be, or nothing gets there for so long; give the seconds it took."""
        started = last_said = time.monotonic()
        patience = Patience(seconds)
        waiting = list(self._ledger)
        while True:
            rows = self._read_rows(waiting)
            waiting = [slot for slot in waiting if complain(slot, rows.find(slot))]
            unsettled = [] if waiting else self._find_unsettled()
            moving = len(waiting) + len(unsettled)
            if not moving or not patience.lasts(len(waiting), len(unsettled)):
                return time.monotonic() - started
            if time.monotonic() > last_said + 5:
                last_said = time.monotonic()
                say(f"settling: {moving} are not there yet ({last_said - started:.0f} s)")
            pause(0.5)

    def _find_unsettled(self) -> list[str]:
        """Find what may still change by itself, though every key that we know of is as it has to be."""
        rows = self._read_rows(self._ledger)
        return [id_ for id_, row in rows.by_id.items() if row["status"] in MOVING] + self._find_orphans(rows)

    # --- judging -------------------------------------------------------------------------------------------

    def judge(self, observer: Observer) -> Verdict:
        """Count what a drill counts."""
        verdict = Verdict(self._find_blind_spots())
        for outcome in OUTCOMES:
            verdict.counts[outcome] = self._ledger.count(outcome)
        rows = self._read_rows(self._ledger)
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

    def _find_blind_spots(self) -> frozenset[str]:
        others = frozenset() if self._alone else frozenset({"unexpected", "ended"})
        return others if self._may_list else others | {"orphaned"}

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

    def _find_strangers(self, rows: Rows) -> list[str]:
        known = {row["id"] for slot in self._ledger if (row := rows.find(slot))}
        unknown = {image_id: row for image_id, row in rows.by_id.items() if image_id not in known}
        return strangers(unknown, self._ledger, lambda image_id: self._digest(unknown[image_id]["key"]))

    def _digest(self, key: str | None) -> str | None:
        if self._store is None or key is None:
            return None
        try:
            with self._store.open(ORIGINALS_BUCKET, key) as (_, body):
                return hashlib.sha256(body.read()).hexdigest()
        except ObjectNotFoundError:
            return None

    def _look_at_thumbnails(self, slot: Slot, row: Row) -> str:
        content = next(c for c in slot.possible() if c and c.sha256 == row["sha256"])
        for variant in [] if content.bad else row["variants"]:
            data = self._variant(row["id"], variant["type"])
            shown = photos.read(data)
            if shown != content.number and not photos.hides_number(data):
                return f"shows {shown} as its {variant['type']}, not {content.number}"
        return ""

    def _read_timeline(self, image_id: str) -> list[Row]:
        items: list[Row] = self._get(f"/api/v1/images/{image_id}/events").json()["items"]
        return items

    def _find_orphans(self, rows: Rows) -> list[str]:
        """Find variants without a picture: of no image, or of bytes that are no longer the image's."""
        if self._store is None or not self._may_list:
            return []
        prefixes = [""] if self._alone else [f"{image_id}/" for image_id in rows.by_id]
        keys = [key for prefix in prefixes for key in self._store.keys(VARIANTS_BUCKET, prefix)]
        return [key for key in keys if not _belongs(key, rows)]

    # --- asking --------------------------------------------------------------------------------------------

    def _read_rows(self, slots: Iterable[Slot]) -> Rows:
        rows = list(self._read_all() if self._alone else self._look_up(slots))
        return Rows({row["id"]: row for row in rows})

    def _read_all(self) -> Iterator[Row]:
        cursor: dict[str, str] = {}
        while True:
            page = self._get("/api/v1/images", limit="200", **cursor).json()
            yield from page["items"]
            if not page["next"]:
                return
            cursor = {"cursor": page["next"]}

    def _look_up(self, slots: Iterable[Slot]) -> Iterator[Row]:
        for slot in slots:
            if slot.image_id:
                answer = self._get(f"/api/v1/images/{slot.image_id}")
                yield from [answer.json()] if answer.status_code == 200 else []
            elif slot.key:
                yield from self._get("/api/v1/images", key=slot.key).json()["items"]

    def _variant(self, image_id: str, kind: str) -> bytes:
        return self._get(f"/api/v1/images/{image_id}/variants/{kind}").content

    def _get(self, path: str, **parameters: str) -> httpx.Response:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                answer = self._http.get(path, params=parameters)
                if answer.status_code < 500:
                    return answer
                fault = f"HTTP {answer.status_code}"
            except httpx.HTTPError as error:
                fault = str(error) or type(error).__name__
            if time.monotonic() > deadline:
                raise NoAnswerError(f"{path}: {fault}")
            pause(0.5)


def _may_list(store: Storage | None) -> bool:
    try:
        return store is not None and store.keys(VARIANTS_BUCKET, "drill/") is not None
    except DependencyRejected:
        return False


def _belongs(key: str, rows: Rows) -> bool:
    """Tell whether an image shows a variant, by the name of its content in the variant's URL."""
    image_id, content, _ = key.split("/")
    row = rows.by_id.get(image_id)
    return bool(row and any(variant["url"].endswith(f"?v={content}") for variant in row["variants"]))
