"""What protects the purged from late news, and what is forgotten with a deletion."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.tracker.event_factory import (
    KEY,
    OWN_KEY,
    V1,
    V2,
    asked_again,
    delete,
    done,
    dropped,
    failed,
    missed,
    presigned_upload,
    processing,
    put,
    redriven,
    remaking,
    removed,
    requested,
    retrying,
)
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.contracts.status import Status
from thumbmill.tracker.image_record import BucketState
from thumbmill.tracker.projection import fold
from thumbmill.tracker.retention import Rules
from thumbmill.tracker.timeline import RETAINED_DATA

GONE = BucketState(None)
RULES = Rules()
EVERYTHING = [
    put(), processing(), retrying(), failed(), done(), delete(), removed(), requested(), redriven(), dropped(),
    asked_again("2026"), missed("a"), remaking("a"), presigned_upload(),
]  # fmt: skip


def ago(age):
    return datetime.now(UTC) - age


@pytest.mark.parametrize("fact", EVERYTHING, ids=lambda fact: fact.type)
def test_a_late_fact_brings_no_purged_image_back(fact):
    assert fold(None, [fact], lambda: GONE, purgeable=True) is None


@pytest.mark.parametrize("fact", [put(), done(), requested()], ids=lambda fact: fact.type)
def test_a_late_fact_of_an_image_that_is_there_is_as_good_as_any(fact):
    row = fold(None, [fact], lambda: BucketState(V1), purgeable=True)
    assert row.status is not Status.DELETED
    assert fold(None, [put(V2)], lambda: BucketState(V1), purgeable=True).object_version == V1


def test_how_old_a_fact_has_to_be():
    half = RULES.deleted / 2
    assert not RULES.is_purgeable(put(at=ago(half - timedelta(minutes=1))))
    assert RULES.is_purgeable(put(at=ago(half + timedelta(minutes=1))))
    assert not RULES.is_purgeable(requested(expires_at=ago(RULES.expired / 2 - timedelta(minutes=1))))
    assert RULES.is_purgeable(requested(expires_at=ago(RULES.expired / 2 + timedelta(minutes=1))))


def test_with_a_deletion_the_row_keeps_nothing_of_the_file():
    row = fold(None, [requested(key=OWN_KEY), presigned_upload(), done(key=OWN_KEY)], lambda: GONE)
    assert (row.file_name, row.content_type) == ("a.jpg", "image/jpeg")
    row = fold(row, [delete(key=OWN_KEY)], lambda: GONE)
    assert (row.file_name, row.content_type, row.details, row.sha256) == (None, None, None, None)
    late = fold(
        row, [presigned_upload(target="durable"), processing(key=OWN_KEY), requested(key=OWN_KEY)], lambda: GONE
    )
    assert late == row


def test_a_key_that_a_client_chose_goes_when_nothing_is_left_that_it_leads_to():
    row = fold(None, [put(), done(), delete()], lambda: GONE)
    assert (row.key, row.variants_removed) == (KEY, False)
    row = fold(row, [removed()], lambda: GONE)
    assert (row.key, row.variants_removed) == ("", True)
    assert fold(row, [put(V2)], lambda: BucketState(V2)).key == KEY
    own = fold(None, [presigned_upload(), delete(key=OWN_KEY), removed(key=OWN_KEY)], lambda: GONE)
    assert own.key == OWN_KEY, "it says nothing but the id"


@pytest.mark.parametrize("fact", EVERYTHING, ids=lambda fact: fact.type)
def test_of_a_deleted_images_facts_nothing_tells_of_the_file(fact):
    kept = fact.retained_data
    assert kept.keys() <= RETAINED_DATA
    assert {name: fact.data[name] for name in kept} == kept
    text = repr(kept)
    for personal in ("jpg", "camera", "2026-01-31T12:00:00", "thumbnail", "no luck", "11111111"):
        assert personal not in text


def test_what_was_done_stays_in_the_timeline():
    assert done(attempt=2, run_id="2026").retained_data == {"run_id": "2026", "attempt": 2}
    assert failed(code=ErrorCode.EMPTY_FILE).retained_data == {"run_id": "", "attempt": 1}
    assert redriven().retained_data == redriven().data
    assert replace(delete()).retained_data == {"sequencer": "17A"}
