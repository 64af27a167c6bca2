"""One batch of a scan: a page of a bucket and the rows of the same range, compared.

Memory is that of two pages, however large the bucket is. One request to MinIO lists a thousand objects.
"""

from dataclasses import dataclass, replace
from uuid import UUID

from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, VARIANTS_BUCKET, image_id_of_variant
from thumbmill.core.object_store.listing import ObjectSummary
from thumbmill.core.object_store.store import Storage
from thumbmill.tracker.reconciliation.drift import Drift, ExpectedObject, compare_originals, compare_variants
from thumbmill.tracker.reconciliation.repository import ROWS, Cursor, ReconciliationRepository

PAGE = 1000  # objects in a page of MinIO's listing
_ID_PREFIX = 37  # characters: the image's ID and a slash, with which a variant's key begins


@dataclass(frozen=True, slots=True)
class Batch:
    """The result of comparing one range."""

    drifts: list[Drift]
    size: int  # objects or rows, whichever were more
    next: Cursor
    is_last: bool  # of the pass


class Scanner:
    """Keeps what was listed and not yet compared, and where MinIO's listing continues."""

    def __init__(self, storage: Storage, repository: ReconciliationRepository, age_seconds: float) -> None:
        self._storage = storage
        self._repository = repository
        self._age_seconds = int(age_seconds)
        self._range_start: tuple[object, ...] | None = None  # of what is left over
        self._listed: list[ObjectSummary] = []
        self._token = ""
        self._server_time = 0

    def restarted(self) -> "Scanner":
        """Return a scanner of the same buckets that remembers nothing."""
        return Scanner(self._storage, self._repository, self._age_seconds)

    def scan(self, cursor: Cursor) -> Batch:
        """Compare the next range. Raise DependencyUnavailable if nothing was compared."""
        start, self._range_start = self._range_start, None
        if start != _range_start(cursor):
            self._listed, self._token = [], ""
            self._list(cursor)
        while self._token and len(self._listed) < PAGE:
            self._list(cursor)
        batch = self._scan_originals(cursor) if cursor.bucket == ORIGINALS_BUCKET else self._scan_variants(cursor)
        if batch.next.bucket == cursor.bucket and not batch.is_last:
            self._range_start = _range_start(batch.next)
        return batch

    def _list(self, cursor: Cursor) -> None:
        page = self._storage.list_page(cursor.bucket, after=cursor.last_key, token=self._token)
        self._listed += page.objects
        self._token, self._server_time = page.token, page.server_time

    def _scan_originals(self, cursor: Cursor) -> Batch:
        upto = self._listed[-1].key if self._token else None
        rows = self._repository.list_originals(cursor.last_key, upto)
        all_rows = len(rows) < ROWS
        taken = self._take(len(self._listed) if all_rows else _count_upto(self._listed, rows[-1].key))
        drifts = compare_originals(taken, rows)
        if all_rows and not self._token:
            end = Cursor(VARIANTS_BUCKET, objects=cursor.objects + len(taken), step=cursor.step)
            return Batch(drifts, max(len(taken), len(rows)), end, is_last=False)
        last_key = max(cursor.last_key, taken[-1].key if all_rows else rows[-1].key)
        return self._continue(cursor, drifts, taken, rows, last_key, None)

    def _scan_variants(self, cursor: Cursor) -> Batch:
        older_than = self._server_time - self._age_seconds
        more = bool(self._token)
        count = len(self._listed)
        if more:  # the last image may continue on the next page
            last = self._listed[-1].key[:_ID_PREFIX]
            count = next(n for n in range(count, -1, -1) if n == 0 or not self._listed[n - 1].key.startswith(last))
            count = count or len(self._listed)  # a page of a single image: the rest is checked one by one
        ids = [image_id for summary in self._listed[:count] if (image_id := image_id_of_variant(summary.key))]
        upto = max(ids, default=cursor.last_id) if more else None
        rows = self._repository.list_variants(cursor.last_id, upto) if upto or not more else []
        all_rows = len(rows) < ROWS
        if not all_rows:
            upto = rows[-1].id
            count = next(
                (n for n, summary in enumerate(self._listed[:count]) if _is_after(summary, rows[-1].id)), count
            )
        taken = self._take(count)
        drifts = compare_variants(taken, rows, older_than=older_than)
        if all_rows and not more:
            end = Cursor(step=cursor.step)
            return Batch(drifts, max(len(taken), len(rows)), end, is_last=True)
        last_key = max(cursor.last_key, taken[-1].key) if taken else cursor.last_key
        return self._continue(cursor, drifts, taken, rows, last_key, upto)

    def _continue(
        self,
        cursor: Cursor,
        drifts: list[Drift],
        taken: list[ObjectSummary],
        rows: list[ExpectedObject],
        last_key: str,
        last_id: UUID | None,
    ) -> Batch:
        objects = cursor.objects + len(taken)
        following = replace(cursor, last_key=last_key, last_id=last_id, objects=objects)
        return Batch(drifts, max(len(taken), len(rows)), following, is_last=False)

    def _take(self, count: int) -> list[ObjectSummary]:
        taken, self._listed = self._listed[:count], self._listed[count:]
        return taken


def _range_start(cursor: Cursor) -> tuple[object, ...]:
    return cursor.bucket, cursor.last_key, cursor.last_id


def _count_upto(listed: list[ObjectSummary], upto: str) -> int:
    return next((n for n, summary in enumerate(listed) if summary.key > upto), len(listed))


def _is_after(summary: ObjectSummary, last: UUID) -> bool:
    image_id = image_id_of_variant(summary.key)
    return image_id is not None and image_id > last
