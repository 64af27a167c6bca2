"""What a form may bring: one file, once; and nothing behind a deletion."""

from dataclasses import replace
from itertools import permutations

import pytest

from tests.unit.tracker.event_factory import (
    NOON,
    OWN_KEY,
    V1,
    V2,
    delete,
    done,
    failed,
    presigned_upload,
    processing,
    put,
    removed,
    requested,
)
from thumbmill.core.contracts.identity import ObjectVersion, image_id_of
from thumbmill.core.contracts.status import Status
from thumbmill.tracker.image_record import SPENT, BucketState
from thumbmill.tracker.projection import fold

GONE = BucketState(None)
AGAIN = ObjectVersion(V1.etag, V1.size, V1.modified + 5)  # the same bytes, stored later


def after(*facts, row=None, seen=GONE, **rules):
    return fold(row, facts, lambda: seen, **rules)


def used(*more):
    return after(requested(key=OWN_KEY), presigned_upload(), *more, seen=BucketState(V1))


def deleted():
    return after(delete(key=OWN_KEY), removed(key=OWN_KEY), row=used(done(key=OWN_KEY)))


def test_the_first_file_of_a_form_is_taken_and_its_twin_changes_nothing():
    row = used()
    assert (row.status, row.generation, row.rejected_version) == (Status.PENDING, 1, None)
    assert after(presigned_upload(target="durable"), row=row, seen=BucketState(V1)) == row


def test_a_form_brings_no_deleted_image_back():
    row = after(presigned_upload(V2), row=deleted(), seen=BucketState(V2))
    assert (row.status, row.generation, row.rejected_version) == (Status.DELETED, 1, V2)
    assert not row.variants_removed, "the thumbnailer may have made some of it"


def test_not_even_with_the_same_bytes_nor_where_a_form_may_overwrite():
    for object_version in (V2, AGAIN):
        row = after(
            presigned_upload(object_version), row=deleted(), seen=BucketState(object_version), overwrite=True
        )
        assert (row.status, row.rejected_version) == (Status.DELETED, object_version)


@pytest.mark.parametrize(
    "order",
    list(permutations([presigned_upload(V2), presigned_upload(V2, target="durable"), processing(V2, key=OWN_KEY)])),
)
def test_whatever_comes_first_the_object_counts_as_none(order):
    row = after(*order, row=deleted(), seen=BucketState(V2))
    assert (row.status, row.rejected_version) == (Status.DELETED, V2)
    assert after(*order, row=row) == row, "once it is removed"


@pytest.mark.parametrize("ends", [done, failed])
def test_a_thumbnailer_that_was_quicker_than_the_form_is_not_believed(ends):
    row = after(ends(V2, key=OWN_KEY), row=deleted(), seen=BucketState(V2))
    assert row.status in {Status.DONE, Status.FAILED}
    row = after(presigned_upload(V2), row=row, seen=BucketState(V2))
    assert (row.status, row.variants, row.rejected_version) == (Status.DELETED, (), V2)


def test_a_used_form_brings_no_other_file():
    row = after(presigned_upload(V2), row=used(done(key=OWN_KEY)), seen=BucketState(V2))
    assert (row.status, row.variants, row.rejected_version) == (Status.DELETED, (), V2)


def test_a_used_form_may_bring_another_file_where_that_is_meant():
    row = after(presigned_upload(V2), row=used(done(key=OWN_KEY)), seen=BucketState(V2), overwrite=True)
    assert (row.status, row.object_version, row.generation, row.rejected_version) == (Status.PENDING, V2, 2, None)
    assert after(presigned_upload(V2, target="durable"), row=row, seen=BucketState(V2), overwrite=True) == row


def test_the_same_bytes_again_are_no_other_file():
    row = after(presigned_upload(AGAIN), row=used(), seen=BucketState(AGAIN))
    assert (row.status, row.object_version, row.generation, row.rejected_version) == (
        Status.PENDING,
        AGAIN,
        2,
        None,
    )
    assert after(presigned_upload(AGAIN, target="durable"), row=row, seen=BucketState(AGAIN)) == row


def lie(sha256, object_version=V1):
    """What the thumbnailer says of other bytes under the very ETag and date."""
    fact = done(object_version, key=OWN_KEY)
    return replace(fact, payload=fact.payload.model_copy(update={"sha256": sha256}))


@pytest.mark.parametrize("object_version", [V1, AGAIN])
def test_other_bytes_under_a_forged_etag_are_another_file(object_version):
    row = after(presigned_upload(object_version), row=used(done(key=OWN_KEY)), seen=BucketState(object_version))
    assert row.status is not Status.DELETED
    row = after(lie("f" * 64, object_version), row=row)
    assert (row.status, row.rejected_version, row.variants) == (Status.DELETED, object_version, ())
    assert after(done(object_version, key=OWN_KEY, run_id="2026"), row=row) == row


def test_a_form_that_may_overwrite_is_held_by_nothing():
    row = after(lie("f" * 64, AGAIN), row=used(done(key=OWN_KEY)), seen=BucketState(AGAIN), overwrite=True)
    assert (row.status, row.sha256) == (Status.DONE, "f" * 64)


def test_a_form_that_is_used_used_again_and_deleted_between_while_nobody_listens():
    for object_version in (V2, AGAIN):
        facts = [requested(key=OWN_KEY), presigned_upload(), delete(key=OWN_KEY), presigned_upload(object_version)]
        row = after(*facts, seen=BucketState(object_version))
        assert (row.status, row.rejected_version) == (Status.DELETED, object_version)


def test_an_object_that_was_replaced_meanwhile_is_judged_by_news_of_its_own():
    row = after(presigned_upload(V2), row=deleted(), seen=BucketState(AGAIN))
    assert (row.status, row.object_version) == (Status.PENDING, AGAIN)
    row = after(presigned_upload(AGAIN), row=row, seen=BucketState(AGAIN))
    assert (row.status, row.rejected_version) == (Status.DELETED, AGAIN)


def test_others_may_store_a_deleted_image_again():
    """Who writes under such a key by another door has keys of the store's own, and restores a backup."""
    row = after(put(V2, key=OWN_KEY), row=deleted(), seen=BucketState(V2, "image/png", "b.png"))
    assert (row.status, row.generation, row.rejected_version) == (Status.PENDING, 2, None)
    assert (row.key, row.file_name) == (OWN_KEY, "b.png")


def test_forms_that_are_not_the_gateways_are_as_any_upload():
    key = "holiday/a.jpg"
    row = after(presigned_upload(key=key), delete(key=key), presigned_upload(V2, key=key), seen=BucketState(V2))
    assert (row.status, row.generation, row.presigned_upload) == (Status.PENDING, 2, None)


def test_a_ticket_that_is_told_late_of_a_deleted_image_tells_nothing():
    row = after(presigned_upload(), delete(key=OWN_KEY), requested(key=OWN_KEY))
    assert (row.status, row.file_name, row.content_type, row.presigned_upload) == (
        Status.DELETED,
        None,
        None,
        SPENT,
    )


def test_what_a_form_brought_is_known_by_its_id():
    assert used().id == image_id_of(OWN_KEY)
    assert presigned_upload().occurred == NOON
