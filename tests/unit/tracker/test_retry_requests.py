"""Retries of a FAILED image, and missing variants of a DONE one."""

from dataclasses import replace
from itertools import permutations

import pytest

from tests.unit.tracker.event_factory import (
    KEY,
    V1,
    V2,
    delete,
    done,
    drift_repaired,
    failed,
    payload,
    processing,
    put,
    retry_requested,
)
from thumbmill.core.contracts.error_codes import RETRYABLE, ErrorCode
from thumbmill.core.contracts.events import Done, Variant
from thumbmill.core.contracts.identity import image_id_of, variant_key
from thumbmill.core.contracts.interventions import next_run_id
from thumbmill.core.contracts.status import Status
from thumbmill.tracker.image_record import BucketState
from thumbmill.tracker.projection import fold

EXHAUSTED = failed(attempt=4, code=ErrorCode.ATTEMPTS_EXHAUSTED)


def head_is_unexpected():
    raise AssertionError("the bucket was asked although that was not needed")


def row_after(*events, row=None):
    return fold(row, events, head_is_unexpected)


def test_a_retried_image_is_pending_in_a_run_of_its_own():
    row = row_after(put(), EXHAUSTED, retry_requested("2026"))
    assert (row.status, row.run_id, row.attempts, row.error) == (Status.PENDING, "2026", 0, None)
    row = row_after(processing(run_id="2026"), done(run_id="2026"), row=row)
    assert (row.status, row.run_id) == (Status.DONE, "2026")


def test_late_events_do_not_end_the_new_run():
    row = row_after(put(), EXHAUSTED, retry_requested("2026"))
    assert row_after(processing(attempt=3), EXHAUSTED, row=row) == row


def test_repeated_requests_start_one_run():
    row = row_after(put(), EXHAUSTED)
    for order in permutations([retry_requested("2026-1"), retry_requested("2026-2")]):
        asked = row_after(*order, row=row)
        assert asked.run_id == order[0].payload.run_id
        failed_too = row_after(failed(run_id=asked.run_id, code=ErrorCode.ATTEMPTS_EXHAUSTED), row=asked)
        assert row_after(*order, row=failed_too) == failed_too, "both were about the first failure"
        assert row_after(retry_requested("2027", after=asked.run_id), row=failed_too).run_id == "2027"
    assert retry_requested("2026-1").id == retry_requested("2026-2").id


@pytest.mark.parametrize("code", ErrorCode)
def test_only_retryable_failures_are_retried_unless_forced(code):
    row = row_after(put(), failed(code=code))
    asked = row_after(retry_requested("2026"), row=row)
    assert (asked.status is Status.PENDING) == (code in RETRYABLE)
    assert row_after(retry_requested("2026", forced=True), row=row).status is Status.PENDING


@pytest.mark.parametrize("events", [[], [put()], [put(), processing()], [put(), done()]])
def test_an_image_that_has_not_failed_is_not_retried(events):
    row = row_after(*events)
    assert row_after(retry_requested("2026", forced=True), row=row) == row


def test_neither_another_object_nor_a_deleted_image_is_retried():
    row = row_after(put(), EXHAUSTED)
    assert row_after(retry_requested("2026", object_version=V2), row=row) == row
    deleted = fold(row, [delete()], lambda: BucketState(None))
    assert row_after(retry_requested("2026"), row=deleted) == deleted


def test_a_run_sorts_after_the_one_before_even_if_clocks_differ():
    ahead = "2999-01-01T00:00:00.000000+00:00"
    assert next_run_id(ahead) > ahead
    assert "" < next_run_id("") < ahead


def test_a_done_image_stays_done_while_missing_variants_are_generated():
    row = row_after(put(), done())
    [key] = [variant.key for variant in row.variants]
    after = row_after(drift_repaired(key, "another key"), row=row)
    assert after == replace(row, missing=(key,))
    assert row_after(processing(run_id="2026"), failed(run_id="2026"), row=after) == after
    assert row_after(done(run_id="2026"), row=after).missing == ()
    assert row_after(drift_repaired(key, run_id=""), row=row) == row, "what is done since is not missing"


def test_missing_variants_add_up():
    a, b, c = (variant_key(image_id_of(KEY), "ab" * 32, name, "1.1", "webp") for name in "abc")
    variants = [Variant(type="x", key=k, width=1, height=1, bytes=1, content_type="image/webp") for k in (a, b, c)]
    finished = Done(key=KEY, object_version=V1, sha256="", width=1, height=1, format="JPEG", variants=variants)
    row = row_after(put(), payload(finished), drift_repaired(c, run_id="2026"), drift_repaired(a, run_id="2027"))
    assert row.missing == (a, c)
