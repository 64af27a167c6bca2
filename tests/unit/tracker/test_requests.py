"""Another try of a FAILED image, and variants of a DONE one that are being made again."""

from dataclasses import replace
from itertools import permutations

import pytest

from tests.unit.tracker.event_factory import (
    KEY,
    V1,
    V2,
    asked_again,
    delete,
    done,
    failed,
    payload,
    processing,
    put,
    remaking,
)
from thumbmill.core.contracts.error_codes import RETRYABLE, ErrorCode
from thumbmill.core.contracts.events import Done, Variant
from thumbmill.core.contracts.identity import image_id_of, variant_key
from thumbmill.core.contracts.interventions import next_run_id
from thumbmill.core.contracts.status import Status
from thumbmill.tracker.image_record import BucketState
from thumbmill.tracker.projection import fold

EXHAUSTED = failed(attempt=4, code=ErrorCode.ATTEMPTS_EXHAUSTED)


def never():
    raise AssertionError("nobody needed to look into the bucket")


def row_after(*facts, row=None):
    return fold(row, facts, never)


def test_a_failed_image_waits_once_more_as_a_run_of_its_own():
    row = row_after(put(), EXHAUSTED, asked_again("2026"))
    assert (row.status, row.run_id, row.attempts, row.error) == (Status.PENDING, "2026", 0, None)
    row = row_after(processing(run_id="2026"), done(run_id="2026"), row=row)
    assert (row.status, row.run_id) == (Status.DONE, "2026")


def test_old_news_does_not_end_the_new_run():
    row = row_after(put(), EXHAUSTED, asked_again("2026"))
    assert row_after(processing(attempt=3), EXHAUSTED, row=row) == row


def test_however_often_it_is_asked_for_one_run_follows():
    row = row_after(put(), EXHAUSTED)
    for order in permutations([asked_again("2026-1"), asked_again("2026-2")]):
        asked = row_after(*order, row=row)
        assert asked.run_id == order[0].payload.run_id
        failed_too = row_after(failed(run_id=asked.run_id, code=ErrorCode.ATTEMPTS_EXHAUSTED), row=asked)
        assert row_after(*order, row=failed_too) == failed_too, "both were about the first failure"
        assert row_after(asked_again("2027", after=asked.run_id), row=failed_too).run_id == "2027"
    assert asked_again("2026-1").id == asked_again("2026-2").id


@pytest.mark.parametrize("code", ErrorCode)
def test_only_what_may_end_otherwise_is_tried_again_unless_an_operator_insists(code):
    row = row_after(put(), failed(code=code))
    asked = row_after(asked_again("2026"), row=row)
    assert (asked.status is Status.PENDING) == (code in RETRYABLE)
    assert row_after(asked_again("2026", forced=True), row=row).status is Status.PENDING


@pytest.mark.parametrize("facts", [[], [put()], [put(), processing()], [put(), done()]])
def test_what_has_not_failed_is_not_tried_again(facts):
    row = row_after(*facts)
    assert row_after(asked_again("2026", forced=True), row=row) == row


def test_nor_another_object_nor_one_that_was_deleted():
    row = row_after(put(), EXHAUSTED)
    assert row_after(asked_again("2026", object_version=V2), row=row) == row
    deleted = fold(row, [delete()], lambda: BucketState(None))
    assert row_after(asked_again("2026"), row=deleted) == deleted


def test_a_run_sorts_after_the_one_before_whatever_the_clocks_say():
    ahead = "2999-01-01T00:00:00.000000+00:00"
    assert next_run_id(ahead) > ahead
    assert "" < next_run_id("") < ahead


def test_a_done_image_stays_done_while_what_is_gone_is_made_again():
    row = row_after(put(), done())
    [key] = [variant.key for variant in row.variants]
    remade = row_after(remaking(key, "somebody else's"), row=row)
    assert remade == replace(row, missing=(key,))
    assert row_after(processing(run_id="2026"), failed(run_id="2026"), row=remade) == remade
    assert row_after(done(run_id="2026"), row=remade).missing == ()
    assert row_after(remaking(key, run_id=""), row=row) == row, "what is done since is not missing"


def test_several_that_are_gone_add_up():
    a, b, c = (variant_key(image_id_of(KEY), "ab" * 32, name, "1.1", "webp") for name in "abc")
    variants = [Variant(type="x", key=k, width=1, height=1, bytes=1, content_type="image/webp") for k in (a, b, c)]
    told = Done(key=KEY, object_version=V1, sha256="", width=1, height=1, format="JPEG", variants=variants)
    row = row_after(put(), payload(told), remaking(c, run_id="2026"), remaking(a, run_id="2027"))
    assert row.missing == (a, c)
