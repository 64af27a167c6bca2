"""What protects purged images from late events, and what a deletion removes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.tracker.event_factory import (
    KEY,
    OWN_KEY,
    V1,
    V2,
    delete,
    done,
    drift_repaired,
    dropped,
    expired,
    failed,
    missed,
    presigned_upload,
    processing,
    put,
    redriven,
    removed,
    requested,
    retry_requested,
    retrying,
)
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.contracts.status import Status
from thumbmill.tracker.image_record import BucketState
from thumbmill.tracker.projection import fold
from thumbmill.tracker.retention import RetentionRules
from thumbmill.tracker.timeline import RETAINED_DATA

NO_OBJECT = BucketState(None)
RULES = RetentionRules()
EVERYTHING = [
    put(), processing(), retrying(), failed(), done(), delete(), removed(), requested(), expired(), redriven(),
    dropped(), retry_requested("2026"), missed("a"), drift_repaired("a"), presigned_upload(),
]  # fmt: skip


def ago(age):
    return datetime.now(UTC) - age


@pytest.mark.parametrize("event", EVERYTHING, ids=lambda event: event.type)
def test_a_late_event_restores_no_purged_image(event):
    assert fold(None, [event], lambda: NO_OBJECT, purgeable=True) is None


@pytest.mark.parametrize("event", [put(), done(), requested()], ids=lambda event: event.type)
def test_a_late_event_of_an_existing_image_counts(event):
    row = fold(None, [event], lambda: BucketState(V1), purgeable=True)
    assert row.status is not Status.DELETED
    assert fold(None, [put(V2)], lambda: BucketState(V1), purgeable=True).object_version == V1


def test_when_an_event_is_purgeable():
    half = RULES.deleted / 2
    assert not RULES.is_purgeable(put(at=ago(half - timedelta(minutes=1))))
    assert RULES.is_purgeable(put(at=ago(half + timedelta(minutes=1))))
    assert not RULES.is_purgeable(requested(expires_at=ago(RULES.expired / 2 - timedelta(minutes=1))))
    assert RULES.is_purgeable(requested(expires_at=ago(RULES.expired / 2 + timedelta(minutes=1))))


def test_with_a_deletion_the_row_keeps_nothing_of_the_file():
    row = fold(None, [requested(key=OWN_KEY), presigned_upload(), done(key=OWN_KEY)], lambda: NO_OBJECT)
    assert (row.file_name, row.content_type) == ("a.jpg", "image/jpeg")
    row = fold(row, [delete(key=OWN_KEY)], lambda: NO_OBJECT)
    assert (row.file_name, row.content_type, row.details, row.sha256) == (None, None, None, None)
    late = fold(
        row,
        [presigned_upload(target="durable"), processing(key=OWN_KEY), requested(key=OWN_KEY)],
        lambda: NO_OBJECT,
    )
    assert late == row


def test_a_clients_key_is_forgotten_once_its_variants_are_removed():
    row = fold(None, [put(), done(), delete()], lambda: NO_OBJECT)
    assert (row.key, row.variants_removed) == (KEY, False)
    row = fold(row, [removed()], lambda: NO_OBJECT)
    assert (row.key, row.variants_removed) == ("", True)
    assert fold(row, [put(V2)], lambda: BucketState(V2)).key == KEY
    own = fold(None, [presigned_upload(), delete(key=OWN_KEY), removed(key=OWN_KEY)], lambda: NO_OBJECT)
    assert own.key == OWN_KEY, "it contains nothing but the ID"


@pytest.mark.parametrize("event", EVERYTHING, ids=lambda event: event.type)
def test_a_deleted_images_events_retain_nothing_of_the_file(event):
    kept = event.retained_data
    assert kept.keys() <= RETAINED_DATA
    assert {name: event.data[name] for name in kept} == kept
    text = repr(kept)
    for personal in ("jpg", "camera", "2026-01-31T12:00:00", "thumbnail", "no luck", "11111111"):
        assert personal not in text


def test_a_deleted_images_events_retain_what_was_done():
    assert done(attempt=2, run_id="2026").retained_data == {"run_id": "2026", "attempt": 2}
    assert failed(code=ErrorCode.EMPTY_FILE).retained_data == {"run_id": "", "attempt": 1}
    assert redriven().retained_data == redriven().data
    assert replace(delete()).retained_data == {"sequencer": "17A"}
