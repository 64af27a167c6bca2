"""One step through a bucket and the rows beside it: a page of each, over the same range, compared.

Memory is that of two pages, whatever the bucket holds. MinIO is asked once for a thousand objects.
"""

from dataclasses import dataclass, replace
from uuid import UUID

from thumbmill.core.contracts.identity import ORIGINALS_BUCKET, VARIANTS_BUCKET, image_id_of_variant
from thumbmill.core.object_store.listing import ObjectSummary
from thumbmill.core.object_store.store import Storage
from thumbmill.tracker.reconciliation.drift import Drift, ExpectedObject, compare_originals, compare_variants
from thumbmill.tracker.reconciliation.repository import ROWS, Cursor, ReconciliationRepository

PAGE = 1000  # objects in a page of MinIO's
_IMAGE = 37  # characters of a variant's key that are its image's id and a slash


@dataclass(frozen=True, slots=True)
class Batch:
    """What came of one."""

    drifts: list[Drift]
    size: int  # objects or rows, whichever were more
    next: Cursor
    is_last: bool  # of the pass


class Scanner:
    """Remembers what was listed and not yet compared, and how MinIO's listing goes on."""

    def __init__(self, storage: Storage, inventory: ReconciliationRepository, age_seconds: float) -> None:
        self._storage = storage
        self._inventory = inventory
        self._age_seconds = int(age_seconds)
        self._place: tuple[object, ...] | None = None  # to which the rest belongs
        self._listed: list[ObjectSummary] = []
        self._token = ""
        self._told_at = 0

    def step(self, cursor: Cursor) -> Batch:
        """Compare the next range. Raises DependencyAway, and has then compared nothing."""
        place, self._place = self._place, None
        if place != _place(cursor):
            self._listed, self._token = [], ""
            self._list(cursor)
        while self._token and len(self._listed) < PAGE:
            self._list(cursor)
        step = self._originals(cursor) if cursor.bucket == ORIGINALS_BUCKET else self._variants(cursor)
        if step.next.bucket == cursor.bucket and not step.is_last:
            self._place = _place(step.next)
        return step

    def _list(self, cursor: Cursor) -> None:
        page = self._storage.list_page(cursor.bucket, after=cursor.last_key, token=self._token)
        self._listed += page.objects
        self._token, self._told_at = page.token, page.server_time

    def _originals(self, cursor: Cursor) -> Batch:
        upto = self._listed[-1].key if self._token else None
        rows = self._inventory.live(cursor.last_key, upto)
        whole = len(rows) < ROWS
        taken = self._take(len(self._listed) if whole else _count(self._listed, rows[-1].key))
        drifts = compare_originals(taken, rows)
        if whole and not self._token:
            end = Cursor(VARIANTS_BUCKET, objects=cursor.objects + len(taken), step=cursor.step)
            return Batch(drifts, max(len(taken), len(rows)), end, is_last=False)
        last_key = max(cursor.last_key, taken[-1].key if whole else rows[-1].key)
        return self._on(cursor, drifts, taken, rows, last_key, None)

    def _variants(self, cursor: Cursor) -> Batch:
        older_than = self._told_at - self._age_seconds
        more = bool(self._token)
        count = len(self._listed)
        if more:  # the last image may go on with the next page
            last = self._listed[-1].key[:_IMAGE]
            count = next(n for n in range(count, -1, -1) if n == 0 or not self._listed[n - 1].key.startswith(last))
            count = count or len(self._listed)  # a page of a single image: its rest is judged one by one
        ids = [image_id for thing in self._listed[:count] if (image_id := image_id_of_variant(thing.key))]
        upto = max(ids, default=cursor.last_id) if more else None
        rows = self._inventory.done(cursor.last_id, upto) if upto or not more else []
        whole = len(rows) < ROWS
        if not whole:
            upto = rows[-1].id
            count = next(
                (n for n, thing in enumerate(self._listed[:count]) if _is_behind(thing, rows[-1].id)), count
            )
        taken = self._take(count)
        drifts = compare_variants(taken, rows, older_than=older_than)
        if whole and not more:
            end = Cursor(step=cursor.step)
            return Batch(drifts, max(len(taken), len(rows)), end, is_last=True)
        last_key = max(cursor.last_key, taken[-1].key) if taken else cursor.last_key
        return self._on(cursor, drifts, taken, rows, last_key, upto)

    def _on(
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


def _place(cursor: Cursor) -> tuple[object, ...]:
    return cursor.bucket, cursor.last_key, cursor.last_id


def _count(listed: list[ObjectSummary], upto: str) -> int:
    return next((n for n, thing in enumerate(listed) if thing.key > upto), len(listed))


def _is_behind(thing: ObjectSummary, last: UUID) -> bool:
    image_id = image_id_of_variant(thing.key)
    return image_id is not None and image_id > last
