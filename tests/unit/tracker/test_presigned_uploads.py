"""What a presigned form may store: one file, once, and nothing after a deletion."""

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

NO_OBJECT = BucketState(None)
AGAIN = ObjectVersion(V1.etag, V1.size, V1.modified + 5)  # the same bytes, stored later


def after(*events, row=None, seen=NO_OBJECT, **rules):
    return fold(row, events, lambda: seen, **rules)


def used(*more):
    return after(requested(key=OWN_KEY), presigned_upload(), *more, seen=BucketState(V1))


def deleted():
    return after(delete(key=OWN_KEY), removed(key=OWN_KEY), row=used(done(key=OWN_KEY)))


def test_the_first_file_of_a_form_is_accepted_and_its_second_event_changes_nothing():
    row = used()
    assert (row.status, row.generation, row.rejected_version) == (Status.PENDING, 1, None)
    assert after(presigned_upload(target="durable"), row=row, seen=BucketState(V1)) == row


def test_a_form_cannot_restore_a_deleted_image():
    row = after(presigned_upload(V2), row=deleted(), seen=BucketState(V2))
    assert (row.status, row.generation, row.rejected_version) == (Status.DELETED, 1, V2)
    assert not row.variants_removed, "the thumbnailer may have made some of it"


def test_a_deleted_image_stays_deleted_with_the_same_bytes_or_overwriting_forms():
    for object_version in (V2, AGAIN):
        row = after(
            presigned_upload(object_version), row=deleted(), seen=BucketState(object_version), overwrite=True
        )
        assert (row.status, row.rejected_version) == (Status.DELETED, object_version)


@pytest.mark.parametrize(
    "order",
    list(permutations([presigned_upload(V2), presigned_upload(V2, target="durable"), processing(V2, key=OWN_KEY)])),
)
def test_a_rejected_object_counts_as_missing_in_every_order(order):
    row = after(*order, row=deleted(), seen=BucketState(V2))
    assert (row.status, row.rejected_version) == (Status.DELETED, V2)
    assert after(*order, row=row) == row, "once it is removed"


@pytest.mark.parametrize("ends", [done, failed])
def test_events_of_the_thumbnailer_before_the_rejected_upload_change_nothing(ends):
    row = after(ends(V2, key=OWN_KEY), row=deleted(), seen=BucketState(V2))
    assert row.status in {Status.DONE, Status.FAILED}
    row = after(presigned_upload(V2), row=row, seen=BucketState(V2))
    assert (row.status, row.variants, row.rejected_version) == (Status.DELETED, (), V2)


def test_a_used_form_stores_no_other_file():
    row = after(presigned_upload(V2), row=used(done(key=OWN_KEY)), seen=BucketState(V2))
    assert (row.status, row.variants, row.rejected_version) == (Status.DELETED, (), V2)


def test_a_used_form_stores_another_file_if_the_setting_allows_it():
    row = after(presigned_upload(V2), row=used(done(key=OWN_KEY)), seen=BucketState(V2), overwrite=True)
    assert (row.status, row.object_version, row.generation, row.rejected_version) == (Status.PENDING, V2, 2, None)
    assert after(presigned_upload(V2, target="durable"), row=row, seen=BucketState(V2), overwrite=True) == row


def test_the_same_bytes_again_are_not_another_file():
    row = after(presigned_upload(AGAIN), row=used(), seen=BucketState(AGAIN))
    assert (row.status, row.object_version, row.generation, row.rejected_version) == (
        Status.PENDING,
        AGAIN,
        2,
        None,
    )
    assert after(presigned_upload(AGAIN, target="durable"), row=row, seen=BucketState(AGAIN)) == row


def forged_done(sha256, object_version=V1):
    """Return a DONE event of other bytes with the same ETag and date."""
    event = done(object_version, key=OWN_KEY)
    return replace(event, payload=event.payload.model_copy(update={"sha256": sha256}))


@pytest.mark.parametrize("object_version", [V1, AGAIN])
def test_other_bytes_under_a_forged_etag_are_another_file(object_version):
    row = after(presigned_upload(object_version), row=used(done(key=OWN_KEY)), seen=BucketState(object_version))
    assert row.status is not Status.DELETED
    row = after(forged_done("f" * 64, object_version), row=row)
    assert (row.status, row.rejected_version, row.variants) == (Status.DELETED, object_version, ())
    assert after(done(object_version, key=OWN_KEY, run_id="2026"), row=row) == row


def test_an_overwriting_form_stores_any_number_of_files():
    row = after(forged_done("f" * 64, AGAIN), row=used(done(key=OWN_KEY)), seen=BucketState(AGAIN), overwrite=True)
    assert (row.status, row.sha256) == (Status.DONE, "f" * 64)


def test_a_form_used_twice_with_a_lost_deletion_between():
    for object_version in (V2, AGAIN):
        events = [requested(key=OWN_KEY), presigned_upload(), delete(key=OWN_KEY), presigned_upload(object_version)]
        row = after(*events, seen=BucketState(object_version))
        assert (row.status, row.rejected_version) == (Status.DELETED, object_version)


def test_an_object_replaced_meanwhile_is_decided_by_its_own_event():
    row = after(presigned_upload(V2), row=deleted(), seen=BucketState(AGAIN))
    assert (row.status, row.object_version) == (Status.PENDING, AGAIN)
    row = after(presigned_upload(AGAIN), row=row, seen=BucketState(AGAIN))
    assert (row.status, row.rejected_version) == (Status.DELETED, AGAIN)


def test_a_backup_may_restore_a_deleted_image():
    """A client that writes such a key without a form has credentials of the store, and restores a backup."""
    row = after(put(V2, key=OWN_KEY), row=deleted(), seen=BucketState(V2, "image/png", "b.png"))
    assert (row.status, row.generation, row.rejected_version) == (Status.PENDING, 2, None)
    assert (row.key, row.file_name) == (OWN_KEY, "b.png")


def test_other_forms_are_ordinary_uploads():
    key = "holiday/a.jpg"
    row = after(presigned_upload(key=key), delete(key=key), presigned_upload(V2, key=key), seen=BucketState(V2))
    assert (row.status, row.generation, row.presigned_upload) == (Status.PENDING, 2, None)


def test_a_late_upload_request_of_a_deleted_image_changes_nothing_shown():
    row = after(presigned_upload(), delete(key=OWN_KEY), requested(key=OWN_KEY))
    assert (row.status, row.file_name, row.content_type, row.presigned_upload) == (
        Status.DELETED,
        None,
        None,
        SPENT,
    )


def test_an_upload_by_a_form_is_recognised_by_its_id():
    assert used().id == image_id_of(OWN_KEY)
    assert presigned_upload().occurred == NOON
