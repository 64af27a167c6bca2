"""How an event changes an image's row, case by case; ``test_event_order`` has the orders of events."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest

from tests.unit.tracker.event_factory import (
    DETAILS,
    V1,
    V2,
    delete,
    done,
    dropped,
    expired,
    failed,
    processing,
    put,
    redriven,
    removed,
    requested,
    retrying,
)
from thumbmill.core.contracts.identity import ObjectVersion
from thumbmill.core.contracts.status import Status
from thumbmill.tracker.image_record import BucketState
from thumbmill.tracker.projection import apply, fold, needs_processing

NO_OBJECT = BucketState(None)


def head_is_unexpected():
    raise AssertionError("the bucket was asked although that was not needed")


def row_after(*events, head_object=head_is_unexpected):
    return fold(None, events, head_object)


# --- the path of one image -----------------------------------------------------------------------------------


def test_the_common_path_never_asks_the_bucket():
    events = [put(), put(target="durable"), processing(), done()]
    states = [row_after(*events[:n]).status for n in range(1, 5)]
    assert states == [Status.PENDING, Status.PENDING, Status.PROCESSING, Status.DONE]


def test_an_upload_request_takes_its_first_object_without_a_bucket_check():
    row = row_after(requested())
    assert (row.status, row.generation, row.file_name) == (Status.AWAITING_UPLOAD, 0, "a.jpg")
    row = row_after(requested(), put())
    assert (row.status, row.generation, row.object_version) == (Status.PENDING, 1, V1)


def test_a_late_upload_request_fills_in_only_what_is_missing():
    before = row_after(put(), done())
    after = apply(before, requested())
    assert (after.status, after.variants, after.created_at) == (before.status, before.variants, before.created_at)
    assert (after.file_name, after.expires_at) == ("a.jpg", requested().payload.expires_at)
    assert apply(after, requested()) == after


def test_of_a_renewed_ticket_the_latest_counts_in_every_order_of_its_events():
    later = requested().payload.expires_at + timedelta(hours=1)
    for order in permutations([requested(), expired(), requested(expires_at=later)]):
        row = row_after(*order)
        assert (row.status, row.expires_at) == (Status.AWAITING_UPLOAD, later), order
    for order in permutations([expired(), requested(expires_at=later), expired(expires_at=later)]):
        row = row_after(requested(), *order)
        assert (row.status, row.expires_at) == (Status.EXPIRED, later), order


@pytest.mark.parametrize("first", [processing, retrying, done, failed])
def test_an_event_of_the_thumbnailer_creates_a_row_before_the_buckets_event(first):
    row = row_after(first())
    assert row.object_version == V1
    assert row_after(first(), put(), put(target="durable")) == replace(row, content_type="image/jpeg")


def test_what_a_done_image_shows():
    row = row_after(put(), done())
    assert (row.width, row.height, row.format, row.sha256, row.attempts) == (3000, 2000, "JPEG", "1" * 64, 1)
    assert [variant.type for variant in row.variants] == ["thumbnail"]
    assert (row.details, row.damaged) == (DETAILS, True)


def test_a_pause_between_two_attempts_is_processing_with_a_time():
    row = row_after(put(), processing(), retrying())
    again = retrying().payload.next_attempt_at
    assert (row.status, row.attempts, row.next_attempt_at) == (Status.PROCESSING, 1, again)
    row = row_after(put(), processing(), retrying(), processing(attempt=2))
    assert (row.status, row.attempts, row.next_attempt_at) == (Status.PROCESSING, 2, None)


def test_another_object_is_a_new_generation_and_starts_over():
    row = row_after(put(), failed(), put(V2), head_object=lambda: BucketState(V2, "image/png", "b.png"))
    assert (row.status, row.object_version, row.generation, row.error, row.attempts) == (
        Status.PENDING,
        V2,
        2,
        None,
        0,
    )
    assert (row.content_type, row.file_name) == ("image/png", "b.png")
    row = row_after(put(), done(), put(V2), head_object=lambda: BucketState(V2, "image/png", "b.png"))
    assert (row.status, row.variants, row.details, row.damaged) == (Status.PENDING, (), None, False)


# --- the bucket decides --------------------------------------------------------------------------------------


def test_a_removal_of_an_existing_object_changes_nothing():
    row = row_after(put(), done())
    assert fold(row, [delete()], lambda: BucketState(V1)) == row


def test_a_removal_deletes_and_a_later_event_adds_that_the_variants_are_removed():
    deleted = row_after(put(), done(), delete(), head_object=lambda: NO_OBJECT)
    assert (deleted.status, deleted.variants, deleted.variants_removed) == (Status.DELETED, (), False)
    assert fold(deleted, [removed()], head_is_unexpected).variants_removed


def test_a_removal_without_a_row_creates_none():
    assert row_after(delete(), removed(), delete(target="durable")) is None
    ticket = row_after(requested())
    assert fold(ticket, [delete(), removed()], head_is_unexpected) == ticket


def test_a_first_event_after_a_removal_is_checked():
    row = row_after(delete(), put(), done(), head_object=lambda: NO_OBJECT)
    assert (row.status, row.object_version) == (Status.DELETED, V1)
    assert fold(None, [done()], lambda: NO_OBJECT, removal_known=True).status is Status.DELETED


def test_a_restored_object_is_pending_again_even_if_it_is_the_same():
    deleted = row_after(put(), done(), delete(), removed(), head_object=lambda: NO_OBJECT)
    back = fold(deleted, [put()], lambda: BucketState(V1))
    assert (back.status, back.generation, back.variants_removed) == (Status.PENDING, 2, False)
    assert fold(back, [done()], head_is_unexpected).status is Status.DONE


def test_late_events_of_a_deleted_object_leave_it_deleted():
    deleted = row_after(put(), delete(), head_object=lambda: NO_OBJECT)
    assert fold(deleted, [processing(), done(), put(target="durable")], lambda: NO_OBJECT) == deleted


def test_events_of_another_object_change_nothing_unless_the_bucket_agrees():
    row = row_after(put(), processing())
    assert fold(row, [done(V2)], lambda: BucketState(V1)) == row
    adopted = fold(row, [done(V2)], lambda: BucketState(V2))
    assert (adopted.status, adopted.object_version, adopted.generation) == (Status.DONE, V2, 2)


def test_the_bucket_decides_even_if_it_has_a_third_object():
    third = ObjectVersion("3" * 32, 3, 3)
    row = row_after(put(), done(V2), head_object=lambda: BucketState(third))
    assert (row.status, row.object_version) == (Status.PENDING, third)


# --- events about one object version are ordered -------------------------------------------------------------


@pytest.mark.parametrize("order", list(permutations([processing(), retrying(), processing(attempt=2)])))
def test_the_latest_attempt_is_shown(order):
    row = row_after(put(), *order)
    assert (row.attempts, row.next_attempt_at) == (2, None)


@pytest.mark.parametrize("order", list(permutations([put(), processing(attempt=3), failed(attempt=4), done()])))
def test_done_beats_failed_and_everything_else(order):
    row = row_after(*order)
    assert (row.status, row.error) == (Status.DONE, None)


def test_only_a_later_run_starts_over():
    row = row_after(put(), failed(attempt=4))
    assert fold(row, [processing(attempt=9)], head_is_unexpected) == row
    again = fold(row, [processing(run_id="2026")], head_is_unexpected)
    assert (again.status, again.attempts, again.error) == (Status.PROCESSING, 1, None)


def test_a_done_image_stays_done_until_a_later_run_is_done():
    row = row_after(put(), done())
    assert fold(row, [processing(run_id="2026"), failed(run_id="2026")], head_is_unexpected) == row
    assert fold(row, [done(run_id="2026")], head_is_unexpected).run_id == "2026"


@pytest.mark.parametrize(
    "order",
    list(
        permutations(
            [failed(attempt=4), processing(run_id="1"), failed(run_id="1"), redriven("1"), done(run_id="2")]
        )
    ),
)
def test_runs_in_every_order_end_as_done(order):
    row = row_after(put(), *order)
    assert (row.status, row.run_id, row.error) == (Status.DONE, "2", None)


@pytest.mark.parametrize(
    "order", list(permutations([failed(attempt=4), processing(run_id="1"), failed(run_id="1")]))
)
def test_a_later_run_that_fails_too_is_failed(order):
    row = row_after(put(), *order)
    assert (row.status, row.run_id, row.attempts) == (Status.FAILED, "1", 1)


# --- dead letters and operators ------------------------------------------------------------------------------


@pytest.mark.parametrize("note", [redriven(), dropped()])
def test_a_timeline_only_event_changes_nothing_and_needs_no_bucket_check(note):
    assert row_after(note) is None
    for events in ([requested()], [put()], [put(), failed()], [put(), done()]):
        row = row_after(*events)
        assert fold(row, [note], head_is_unexpected) == row
    deleted = row_after(put(), delete(), head_object=lambda: NO_OBJECT)
    assert fold(deleted, [note], head_is_unexpected) == deleted


# --- what the thumbnailer still has to do --------------------------------------------------------------------


def test_a_buckets_event_needs_processing_until_the_thumbnailer_acts():
    assert needs_processing(row_after(put()), put(target="durable"))
    assert not needs_processing(row_after(put(), processing()), put(target="durable"))
    assert not needs_processing(row_after(put()), put(V2, target="durable"))
    assert not needs_processing(None, delete(target="durable"))
    deleted = row_after(put(), delete(), head_object=lambda: NO_OBJECT)
    assert needs_processing(deleted, delete(target="durable"))
    assert not needs_processing(fold(deleted, [removed()], head_is_unexpected), delete(target="durable"))


def test_an_upload_after_its_own_removal_needs_processing_too():
    late = put(target="durable")
    deleted = fold(row_after(delete(target="durable")), [late], lambda: NO_OBJECT, removal_known=True)
    assert needs_processing(deleted, late)
    assert not needs_processing(fold(deleted, [removed()], head_is_unexpected), late)
