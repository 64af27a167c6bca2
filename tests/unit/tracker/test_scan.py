"""Scanning buckets and rows page by page finds what comparing everything at once finds."""

from bisect import bisect_right
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tracker.event_factory import V1, V2
from thumbmill.core.contracts.identity import (
    ORIGINALS_BUCKET,
    VARIANTS_BUCKET,
    ObjectVersion,
    image_id_of,
    variant_key,
)
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.object_store.listing import ListPage, ObjectSummary
from thumbmill.tracker.reconciliation import repository, scan
from thumbmill.tracker.reconciliation.drift import ExpectedObject, compare_originals, compare_variants
from thumbmill.tracker.reconciliation.repository import Cursor
from thumbmill.tracker.reconciliation.scan import Scanner

NOW = 10_000  # seconds since 1970


class Store:
    """Both buckets, listed a few objects at a time."""

    def __init__(self, page, **buckets):
        self.page = page
        self.buckets = {
            name: sorted(summaries, key=lambda summary: summary.key) for name, summaries in buckets.items()
        }
        self.calls = []
        self.error = None

    def list_page(self, bucket, *, after="", token=""):
        self.calls.append((bucket, after, token))
        if self.error:
            raise self.error
        summaries = self.buckets[bucket]
        start = int(token) if token else bisect_right([summary.key for summary in summaries], after)
        end = start + self.page
        return ListPage(summaries[start:end], str(end) if end < len(summaries) else "", NOW)


class Rows:
    """Rows by key and by id, a few at a time."""

    def __init__(self, rows, limit):
        self.rows = rows
        self.limit = limit

    def list_originals(self, after, upto):
        behind = sorted((row for row in self.rows if row.key > after), key=lambda row: row.key)
        return [row for row in behind if upto is None or row.key <= upto][: self.limit]

    def list_variants(self, after, upto):
        behind = sorted((row for row in self.rows if row.id > (after or UUID(int=0))), key=lambda row: row.id)
        return [row for row in behind if upto is None or row.id <= upto][: self.limit]


def run_pass(store, rows, restart=lambda: False):
    """Run a whole pass; return the drift in each bucket, and the largest number of objects in memory."""
    scanner, cursor, drifts, most = (
        Scanner(store, rows, 600),
        Cursor(),
        {ORIGINALS_BUCKET: [], VARIANTS_BUCKET: []},
        0,
    )
    for _ in range(10_000):
        batch = scanner.scan(cursor)
        drifts[cursor.bucket] += batch.drifts
        most = max(most, batch.size, len(scanner._listed))  # noqa: SLF001 - its memory is the question
        if batch.is_last:
            assert batch.next == Cursor()
            return drifts, most
        assert (batch.next.bucket, batch.next.last_key, str(batch.next.last_id)) != (
            cursor.bucket,
            cursor.last_key,
            str(cursor.last_id),
        ), "it makes no progress"
        cursor = batch.next
        if restart():
            scanner = Scanner(store, rows, 600)
    raise AssertionError("it never ends")


def variant(image_id, number, modified=0):
    return ObjectSummary(
        variant_key(image_id, "ab" * 32, f"preset-{number:02}", "1.3", "webp"), ObjectVersion("e", 1, modified)
    )


KEYS = [f"{prefix}{n}" for n in range(8) for prefix in ("a/", "A", "ä", "z", "uploads/")]
SOURCES = st.sampled_from([V1, V2])
OBJECTS = st.dictionaries(st.sampled_from(KEYS), SOURCES, max_size=30)
VARIANTS = st.dictionaries(st.sampled_from(KEYS), st.sets(st.integers(0, 9)), max_size=20)


@settings(max_examples=150, deadline=None)
@given(OBJECTS, OBJECTS, VARIANTS, VARIANTS, st.integers(1, 9), st.integers(1, 9), st.integers(0, 20), st.data())
def test_pages_find_what_a_single_comparison_finds(objects, known, made, named, page, limit, foreign, data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "PAGE", page)
        patch.setattr(scan, "ROWS", limit)
        rows = [
            ExpectedObject(
                image_id_of(key),
                key,
                object_version,
                tuple(variant(image_id_of(key), n).key for n in named.get(key, ())),
            )
            for key, object_version in known.items()
        ]
        summaries = [variant(image_id_of(key), n) for key, numbers in made.items() for n in numbers]
        summaries += [ObjectSummary(f"{n:x}{n}-other-key", V1) for n in range(foreign)]
        store = Store(
            page,
            **{ORIGINALS_BUCKET: [ObjectSummary(*item) for item in objects.items()], VARIANTS_BUCKET: summaries},
        )
        restarts = data.draw(st.lists(st.booleans(), max_size=40))
        drifts, _ = run_pass(store, Rows(rows, limit), lambda: bool(restarts and restarts.pop()))

    assert sorted(drifts[ORIGINALS_BUCKET], key=str) == sorted(
        compare_originals([ObjectSummary(*item) for item in objects.items()], rows), key=str
    )
    at_once = compare_variants(summaries, rows, older_than=NOW - 600)
    orphans = {summary for drift in at_once for summary in drift.variants}
    # An image may be on several pages: then what is on another is suspected, and checked again one by one.
    assert {summary for drift in drifts[VARIANTS_BUCKET] for summary in drift.variants} >= orphans
    missing_keys = {key for drift in at_once for key in drift.missing}
    assert {key for drift in drifts[VARIANTS_BUCKET] for key in drift.missing} >= missing_keys


def test_variants_of_images_smaller_than_a_page_are_no_suspected_drift(monkeypatch):
    monkeypatch.setattr(scan, "PAGE", 4)
    monkeypatch.setattr(scan, "ROWS", 3)
    ids = [image_id_of(key) for key in KEYS]
    summaries = [variant(image_id, n) for image_id in ids for n in range(3)]
    rows = [
        ExpectedObject(image_id, key, V1, tuple(variant(image_id, n).key for n in range(3)))
        for image_id, key in zip(ids, KEYS, strict=True)
    ]
    store = Store(4, **{ORIGINALS_BUCKET: [ObjectSummary(key, V1) for key in KEYS], VARIANTS_BUCKET: summaries})
    assert run_pass(store, Rows(rows, 3))[0] == {ORIGINALS_BUCKET: [], VARIANTS_BUCKET: []}


def test_a_thousand_objects_cost_a_call_and_memory_stays_that_of_two_pages():
    keys = [f"{n:06}" for n in range(20_000)]
    rows = [ExpectedObject(image_id_of(key), key, V1) for key in keys]
    store = Store(1000, **{ORIGINALS_BUCKET: [ObjectSummary(key, V1) for key in keys], VARIANTS_BUCKET: []})
    drifts, most = run_pass(store, Rows(rows, repository.ROWS))
    assert drifts == {ORIGINALS_BUCKET: [], VARIANTS_BUCKET: []}
    assert len([call for call in store.calls if call[0] == ORIGINALS_BUCKET]) == 20
    assert all(token for bucket, _, token in store.calls[1:] if bucket == ORIGINALS_BUCKET), (
        "started over, it costs the store"
    )
    assert most <= 2 * 1000


def test_after_an_error_a_scan_continues_where_it_was():
    keys = [f"{n:04}" for n in range(30)]
    store = Store(10, **{ORIGINALS_BUCKET: [ObjectSummary(key, V1) for key in keys], VARIANTS_BUCKET: []})
    scanner = Scanner(store, Rows([], 100), 600)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "PAGE", 10)
        first = scanner.scan(Cursor())
        store.error = DependencyUnavailable("minio")
        with pytest.raises(DependencyUnavailable):
            scanner.scan(first.next)
        store.error = None
        second = scanner.scan(first.next)
    assert [drift.key for drift in first.drifts + second.drifts] == keys[:20]
    assert store.calls[-1] == (ORIGINALS_BUCKET, keys[9], ""), "the token may be what was wrong"
