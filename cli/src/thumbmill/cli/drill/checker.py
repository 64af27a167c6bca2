"""The final check: look up every key, read every thumbnail, list the variants' bucket."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import httpx

from thumbmill.cli.drill import fingerprint_image
from thumbmill.cli.drill.clients import Access
from thumbmill.cli.drill.history import OUTCOMES, History, TrackedKey
from thumbmill.cli.drill.poller import Poller, regressions
from thumbmill.cli.drill.progress_timeout import ProgressTimeout
from thumbmill.cli.drill.report import (
    MOVING,
    CheckResult,
    Row,
    check_key,
    doubled_uploads,
    overtaken,
    unannounced,
    unexpected_images,
)
from thumbmill.cli.drill.watcher import Watcher
from thumbmill.cli.polling import pause
from thumbmill.core.contracts.base import EventType
from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, VARIANTS_BUCKET, image_id_of
from thumbmill.core.errors import DependencyRejected
from thumbmill.core.object_store.errors import ObjectNotFoundError
from thumbmill.core.object_store.store import Storage

_RESPONSE_SECONDS = 30  # for one response: all faults have ended when the checker asks


class SystemUnresponsiveError(Exception):
    """The system does not respond, although all faults have ended."""


@dataclass(frozen=True)
class Rows:
    """The images in the API's responses."""

    by_id: dict[str, Row]

    def find(self, tracked: TrackedKey) -> Row | None:
        """Return the image of a tracked key."""
        return self.by_id.get(tracked.image_id or str(image_id_of(tracked.key or "")))


class Checker:
    """Checks a system after all faults have ended, so it has to answer every request.

    ``exclusive``: no other client has used the system, so images that are not in the history are checked, too.
    """

    def __init__(self, access: Access, history: History, *, exclusive: bool) -> None:
        self._history = history
        self._exclusive = exclusive
        self._http = access.http()
        self._store = access.store
        self._may_list = _may_list(access.store)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # --- settling ------------------------------------------------------------------------------------------

    def settle(self, seconds: float, log: Callable[[str], None]) -> float:
        """Wait until all is correct, or nothing has improved for this long. Return the seconds it took."""
        started = last_logged = time.monotonic()
        timeout = ProgressTimeout(seconds)
        waiting = list(self._history)
        while True:
            rows = self._read_rows(waiting)
            waiting = [tracked for tracked in waiting if check_key(tracked, rows.find(tracked))]
            unsettled = [] if waiting else self._find_unsettled()
            remaining = len(waiting) + len(unsettled)
            if not remaining or not timeout.has_time_left(len(waiting), len(unsettled)):
                return time.monotonic() - started
            if time.monotonic() > last_logged + 5:
                last_logged = time.monotonic()
                log(f"settling: {remaining} images or variants are not final yet ({last_logged - started:.0f} s)")
            pause(0.5)

    def _find_unsettled(self) -> list[str]:
        """Return what may still change, although every tracked key is correct."""
        rows = self._read_rows(self._history)
        return [id_ for id_, row in rows.by_id.items() if row["status"] in MOVING] + self._find_orphans(rows)

    # --- checking ------------------------------------------------------------------------------------------

    def check(self, poller: Poller, watcher: Watcher) -> CheckResult:
        """Return all counts of the drill."""
        result = CheckResult(self._find_unchecked_counts())
        for outcome in OUTCOMES:
            result.counts[outcome] = self._history.count(outcome)
        rows = self._read_rows(self._history)
        for tracked in self._history:
            self._check_key(tracked, rows.find(tracked), result)
        self._check_unknown_images(rows, result)
        for orphan in self._find_orphans(rows):
            result.add_error("orphaned", orphan)
        for name in poller.unexpected_404s:
            result.add_error("regressed", f"{name} was a 404 after its upload had been acknowledged")
        for image_id, observations in poller.observations.items():
            for step_back in regressions(observations):
                result.add_error("regressed", f"{image_id}: {step_back}")
        for description in [*watcher.errors, *self._find_unannounced(rows, watcher)]:
            result.add_error("unannounced", description)
        return result

    def _find_unannounced(self, rows: Rows, watcher: Watcher) -> list[str]:
        """Return the images whose last change the stream has not delivered some seconds later."""
        deadline = time.monotonic() + _RESPONSE_SECONDS
        while True:
            missing = [unannounced(row, watcher.last_ids.get(id_)) for id_, row in rows.by_id.items()]
            missing = [description for description in missing if description]
            if not missing or time.monotonic() > deadline:
                return missing
            pause(0.2)

    def _find_unchecked_counts(self) -> frozenset[str]:
        unchecked = frozenset() if self._exclusive else frozenset({"unexpected", "doubled", "exited"})
        return unchecked if self._may_list else unchecked | {"orphaned"}

    def _check_key(self, tracked: TrackedKey, row: Row | None, result: CheckResult) -> None:
        if error := check_key(tracked, row):
            result.add_error(*error)
        if row is None:
            return
        if not error and row["status"] == "DONE" and (mismatch := self._find_wrong_thumbnail(tracked, row)):
            result.add_error("wrong", f"{row['id']} {mismatch}")
        timeline = self._read_timeline(row["id"])
        types = [event["type"] for event in timeline]
        result.counts["failed"] += row["status"] == "FAILED"
        result.counts["overtaken"] += overtaken(timeline)
        result.counts["duplicated"] += max(0, types.count(EventType.PROCESSING) - row["generation"])
        result.counts["repaired"] += types.count(EventType.DRIFT_REPAIRED)

    def _check_unknown_images(self, rows: Rows, result: CheckResult) -> None:
        found = {row["id"]: tracked for tracked in self._history if (row := rows.find(tracked))}
        unknown = {image_id: row for image_id, row in rows.by_id.items() if image_id not in found}
        digests = {image_id: self._digest(row["key"]) for image_id, row in unknown.items()}
        for image_id in unexpected_images(unknown, self._history, digests.get):
            result.add_error("unexpected", f"{image_id} was not uploaded by the drill")
        sent = {op.content.sha256 for tracked in found.values() for op in tracked.operations if op.content}
        for image_id in doubled_uploads(digests, sent):
            result.add_error("doubled", f"{image_id} has the bytes of an upload that made another image, too")

    def _digest(self, key: str | None) -> str | None:
        if self._store is None or key is None:
            return None
        try:
            with self._store.open(ORIGINALS_BUCKET, key) as (_, body):
                return hashlib.sha256(body.read()).hexdigest()
        except ObjectNotFoundError:
            return None

    def _find_wrong_thumbnail(self, tracked: TrackedKey, row: Row) -> str:
        content = next(c for c in tracked.possible_contents() if c and c.sha256 == row["sha256"])
        for variant in [] if content.bad else row["variants"]:
            data = self._read_variant(row["id"], variant["type"])
            number = fingerprint_image.read_number(data)
            if number != content.number and not fingerprint_image.cannot_show_number(data):
                return f"shows {number} in its {variant['type']} instead of {content.number}"
        return ""

    def _read_timeline(self, image_id: str) -> list[Row]:
        items: list[Row] = self._get(f"/api/v1/images/{image_id}/events").json()["items"]
        return items

    def _find_orphans(self, rows: Rows) -> list[str]:
        """Return the keys of variants that belong to no image, or to bytes that the image no longer has."""
        if self._store is None or not self._may_list:
            return []
        prefixes = [""] if self._exclusive else [f"{image_id}/" for image_id in rows.by_id]
        keys = [key for prefix in prefixes for key in self._store.list_keys(VARIANTS_BUCKET, prefix)]
        return [key for key in keys if not _is_referenced(key, rows)]

    # --- requests ------------------------------------------------------------------------------------------

    def _read_rows(self, tracked_keys: Iterable[TrackedKey]) -> Rows:
        rows = list(self._read_all() if self._exclusive else self._look_up(tracked_keys))
        return Rows({row["id"]: row for row in rows})

    def _read_all(self) -> Iterator[Row]:
        cursor: dict[str, str] = {}
        while True:
            page = self._get("/api/v1/images", limit="200", **cursor).json()
            yield from page["items"]
            if not page["next"]:
                return
            cursor = {"cursor": page["next"]}

    def _look_up(self, tracked_keys: Iterable[TrackedKey]) -> Iterator[Row]:
        for tracked in tracked_keys:
            if tracked.image_id:
                response = self._get(f"/api/v1/images/{tracked.image_id}")
                yield from [response.json()] if response.status_code == 200 else []
            elif tracked.key:
                yield from self._get("/api/v1/images", key=tracked.key).json()["items"]

    def _read_variant(self, image_id: str, kind: str) -> bytes:
        return self._get(f"/api/v1/images/{image_id}/variants/{kind}").content

    def _get(self, path: str, **parameters: str) -> httpx.Response:
        deadline = time.monotonic() + _RESPONSE_SECONDS
        while True:
            try:
                response = self._http.get(path, params=parameters)
                if response.status_code < 500:
                    return response
                reason = f"HTTP {response.status_code}"
            except httpx.HTTPError as error:
                reason = str(error) or type(error).__name__
            if time.monotonic() > deadline:
                raise SystemUnresponsiveError(f"GET {path} failed for {_RESPONSE_SECONDS} s: {reason}")
            pause(0.5)


def _may_list(store: Storage | None) -> bool:
    try:
        return store is not None and store.list_keys(VARIANTS_BUCKET, "drill/") is not None
    except DependencyRejected:
        return False


def _is_referenced(key: str, rows: Rows) -> bool:
    """Return whether an image shows this variant; the variant's URL names its content."""
    image_id, content, _ = key.split("/")
    row = rows.by_id.get(image_id)
    return bool(row and any(variant["url"].endswith(f"?v={content}") for variant in row["variants"]))
