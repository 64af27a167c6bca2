"""Drift: what a difference between listing and rows means, and the second check that confirms it."""

import pytest

from tests.unit.tracker.event_factory import KEY, NOON, V1, V2
from thumbmill.core.contracts.events import Variant
from thumbmill.core.contracts.identity import ObjectVersion, image_id_of, variant_key
from thumbmill.core.contracts.status import Status
from thumbmill.core.object_store.listing import ObjectSummary
from thumbmill.tracker.image_record import ImageRecord
from thumbmill.tracker.reconciliation.drift import (
    Drift,
    DriftKind,
    ExpectedObject,
    compare_originals,
    compare_variants,
    is_confirmed,
    is_plausible,
    unnamed_variants,
)

ID = image_id_of(KEY)
OTHER = image_id_of("other.jpg")
OLD, YOUNG = 1000, 2000  # seconds since 1970
THUMB, LARGE = (variant_key(ID, "ab" * 32, preset, "1.3", "webp") for preset in ("thumbnail", "large"))


def listed(key, modified=OLD):
    return ObjectSummary(key, ObjectVersion("e" * 32, 5, modified))


def row(status, object_version=V1, variants=(THUMB, LARGE)):
    made = [Variant(type="x", key=key, width=1, height=1, bytes=1, content_type="image/webp") for key in variants]
    return ImageRecord(
        ID,
        KEY,
        NOON,
        status=status,
        object_version=object_version,
        variants=tuple(made) if status is Status.DONE else (),
    )


# --- two lists -----------------------------------------------------------------------------------------------


def test_what_agrees_is_no_drift():
    assert compare_originals([ObjectSummary(KEY, V1)], [ExpectedObject(ID, KEY, V1)]) == []
    summaries = [listed(THUMB), listed(LARGE)]
    assert compare_variants(summaries, [ExpectedObject(ID, KEY, V1, (LARGE, THUMB))], older_than=YOUNG) == []


@pytest.mark.parametrize("rows", [[], [ExpectedObject(ID, KEY, V2)]])
def test_an_object_without_its_row_is_missed(rows):
    assert compare_originals([ObjectSummary(KEY, V1)], rows) == [Drift(DriftKind.MISSED, ID, KEY, V1)]


def test_a_row_without_its_object_has_vanished():
    assert compare_originals([], [ExpectedObject(ID, KEY, V1)]) == [Drift(DriftKind.VANISHED, ID, KEY, V1)]


def test_the_order_of_a_listing_does_not_matter():
    summaries, rows = (
        [ObjectSummary("b", V1), ObjectSummary("a", V1)],
        [ExpectedObject(image_id_of(key), key, V1) for key in "ab"],
    )
    assert compare_originals(summaries, rows) == []


def test_variants_that_a_row_names_and_no_listing_has_are_missing():
    live = ExpectedObject(ID, KEY, V1, (THUMB, LARGE))
    missing = Drift(DriftKind.MISSING_VARIANTS, ID, KEY, V1, missing=(LARGE,))
    assert compare_variants([listed(THUMB)], [live], older_than=YOUNG) == [missing]


def test_variants_that_no_row_names_are_orphans_once_they_are_old():
    live = ExpectedObject(ID, KEY, V1, (THUMB,))
    orphan = variant_key(OTHER, "cd" * 32, "thumbnail", "1.3", "webp")
    summaries = [listed(THUMB), listed(LARGE), listed(orphan), listed(THUMB.replace("1.3", "1.2"), YOUNG)]
    assert compare_variants(summaries, [live], older_than=YOUNG) == [
        Drift(DriftKind.ORPHANS, ID, "", variants=(listed(LARGE),)),
        Drift(DriftKind.ORPHANS, OTHER, "", variants=(listed(orphan),)),
    ]


@pytest.mark.parametrize("key", ["readme.txt", f"{ID}/x", f"{ID}", "a/b/c", f"{ID}/{'ab' * 8}-1.3/deeper/x.webp"])
def test_objects_with_other_keys_are_left_alone(key):
    assert compare_variants([listed(key)], [], older_than=YOUNG) == []


# --- the second check ----------------------------------------------------------------------------------------

MISSED = Drift(DriftKind.MISSED, ID, KEY, V1)
VANISHED = Drift(DriftKind.VANISHED, ID, KEY, V1)
MISSING = Drift(DriftKind.MISSING_VARIANTS, ID, KEY, V1, missing=(LARGE,))
ORPHANS = Drift(DriftKind.ORPHANS, ID, "", variants=(listed(LARGE),))
NO_ROW = None
AWAITED, PENDING, PROCESSING, DONE, FAILED, EXPIRED, DELETED = (
    row(status, None if status in {Status.AWAITING_UPLOAD, Status.EXPIRED} else V1) for status in Status
)
NEWER = row(Status.DONE, V2)


@pytest.mark.parametrize(
    ("drift", "rows", "original", "true"),
    [
        (MISSED, [NO_ROW, AWAITED, EXPIRED, DELETED, NEWER], V1, True),
        (MISSED, [PENDING, PROCESSING, DONE, FAILED], V1, False),  # its event came meanwhile
        (MISSED, [NO_ROW, AWAITED, DELETED, PENDING, DONE, NEWER], V2, False),  # a newer one has its own event
        (MISSED, [NO_ROW, AWAITED, DELETED, PENDING, DONE, NEWER], None, False),
        (VANISHED, [PENDING, PROCESSING, DONE, FAILED], None, True),
        (VANISHED, [PENDING, PROCESSING, DONE, FAILED, DELETED, NO_ROW], V1, False),  # the listing lacked it
        (VANISHED, [NO_ROW, AWAITED, EXPIRED, DELETED, NEWER], None, False),
        (MISSING, [DONE], V1, True),
        (MISSING, [DONE], None, False),  # vanished, which is another case
        (MISSING, [DONE], V2, False),
        (MISSING, [NO_ROW, AWAITED, PENDING, PROCESSING, FAILED, DELETED, NEWER], V1, False),
        (ORPHANS, [NO_ROW, AWAITED, DELETED], None, True),
        (ORPHANS, [NO_ROW, AWAITED, DELETED], V1, False),  # missed, which comes first
        (ORPHANS, [DONE, FAILED], V1, True),
        (ORPHANS, [DONE, FAILED], None, False),
        (ORPHANS, [DONE, FAILED], V2, False),
        (ORPHANS, [PENDING, PROCESSING], V1, False),  # while it is being processed, its own variants are unknown
        (ORPHANS, [PENDING, PROCESSING], None, False),
    ],
)
def test_the_present_row_and_object_decide(drift, rows, original, true):
    assert [is_confirmed(drift, each, original) for each in rows] == [true] * len(rows)


def test_confirmed_drift_is_plausible():
    for drift in (MISSED, VANISHED, MISSING, ORPHANS):
        for each in (NO_ROW, AWAITED, PENDING, PROCESSING, DONE, FAILED, DELETED, NEWER):
            for original in (None, V1, V2):
                assert is_plausible(drift, each) or not is_confirmed(drift, each, original)


def test_a_variant_that_the_row_names_by_now_is_no_orphan():
    drift = Drift(DriftKind.ORPHANS, ID, "", variants=(listed(THUMB), listed(LARGE)))
    assert unnamed_variants(drift, row(Status.DONE, variants=(LARGE,))) == [listed(THUMB)]
    assert unnamed_variants(drift, None) == [listed(THUMB), listed(LARGE)]
