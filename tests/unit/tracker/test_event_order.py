"""Events in any order, any number of times: a row ends where the bucket is."""

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tracker.event_factory import (
    V1,
    V2,
    delete,
    done,
    expired,
    failed,
    processing,
    put,
    removed,
    requested,
)
from thumbmill.core.contracts.identity import ObjectVersion
from thumbmill.core.contracts.status import Status
from thumbmill.tracker.image_record import BucketState
from thumbmill.tracker.projection import apply, fold, needs_bucket_check

NO_DEADLINE = settings(deadline=None)  # no time is asserted
TERMINAL = {Status.DONE, Status.FAILED, Status.DELETED}

EVERYTHING = [put(V1), put(V2), delete(), done(V1), done(V2), removed(), failed(V1), requested(), expired()]
FINAL = [BucketState(None), BucketState(V1), BucketState(V2)]


def check_against(bucket, row):
    if bucket.object_version is None:
        assert row.status is Status.DELETED
    else:
        assert (row.status, row.object_version) == (Status.DONE, bucket.object_version)


@pytest.mark.parametrize("bucket", FINAL, ids=["missing", "v1", "v2"])
def test_every_order_ends_where_the_bucket_is(bucket):
    for order in permutations(EVERYTHING[:6]):
        check_against(bucket, fold(None, order, lambda: bucket))


@NO_DEADLINE
@given(st.permutations([*EVERYTHING, *EVERYTHING]), st.sampled_from(FINAL))
def test_every_order_of_all_events_twice_ends_where_the_bucket_is(order, bucket):
    check_against(bucket, fold(None, order, lambda: bucket))


@NO_DEADLINE
@given(st.permutations(EVERYTHING), st.sampled_from(FINAL))
def test_an_event_applied_twice_changes_nothing_the_second_time(order, bucket):
    row = fold(None, order, lambda: bucket)
    again = fold(row, order, lambda: bucket, removal_known=True)
    if row.status is Status.DELETED:  # a late image.removed may still add that the variants are removed
        assert (again.status, again.object_version, again.generation) == (
            row.status,
            row.object_version,
            row.generation,
        )
        assert again.variants_removed
    else:
        assert again == row


@NO_DEADLINE
@given(st.permutations(EVERYTHING), st.sampled_from(FINAL))
def test_a_terminal_state_is_left_for_another_object_version_alone(order, bucket):
    row, removal_known = None, False
    for event in order:
        seen = bucket if needs_bucket_check(row, event, removal_known=removal_known) else None
        after = apply(row, event, seen)
        removal_known |= event.is_removal
        if row is not None and row.status in TERMINAL and after.status is not row.status:
            better = (row.status, after.status) == (Status.FAILED, Status.DONE)
            assert better or after.status is Status.DELETED or after.object_version != row.object_version
        row = after


@st.composite
def histories(draw):
    """Draw what happened to a key: its states, and the events about them in the order in which they arrive."""
    moments, events = [BucketState(None)], []
    for number in range(draw(st.integers(1, 5))):
        moment = len(moments)
        if moments[-1].object_version and draw(st.booleans()):
            moments.append(BucketState(None))
            arriving = [delete(f"{number:X}"), delete(f"{number:X}", target="durable"), removed(f"{number:X}")]
        else:
            object_version = ObjectVersion(f"{number:032}", number, 100 + number) if draw(st.integers(0, 3)) else V1
            moments.append(BucketState(object_version))
            arriving = [
                put(object_version),
                put(object_version, target="durable"),
                processing(object_version),
                done(object_version),
            ]
        events += [(moment, event) for event in arriving]
    return moments, draw(st.permutations(events)), draw(st.randoms(use_true_random=False))


@NO_DEADLINE
@given(histories())
def test_checks_that_see_intermediate_states_do_no_harm(history):
    moments, arriving, chance = history
    row, removal_known, now = None, False, 0
    for moment, event in arriving:
        now = chance.randint(max(now, moment), len(moments) - 1)
        seen = moments[now] if needs_bucket_check(row, event, removal_known=removal_known) else None
        row = apply(row, event, seen)
        removal_known |= event.is_removal
    final = moments[-1].object_version
    if final is None:
        assert row.status is Status.DELETED
    else:
        # A restored object may have to be processed again: then the row is PENDING.
        assert row.object_version == final
        assert row.status in {Status.PENDING, Status.PROCESSING, Status.DONE}
