"""Which changes of a row are in the feed."""

from dataclasses import fields, replace

import pytest

from tests.unit.tracker.event_factory import NOON, V1, done, failed, processing, put, requested, retrying
from thumbmill.core.contracts.changes import ChangeType
from thumbmill.core.contracts.status import Status
from thumbmill.gateway.images.models import ImageOut
from thumbmill.tracker.changes import CLEARED_DATA, find_change
from thumbmill.tracker.image_record import ImageRecord
from thumbmill.tracker.projection import fold

ROW = fold(None, [put(), done()], lambda: None)
PRIVATE = {"run_id": "2027", "variants_removed": True, "presigned_upload": "spent", "rejected_version": V1}


@pytest.mark.parametrize("name", PRIVATE)
def test_what_the_tracker_needs_for_itself_is_no_change(name):
    assert find_change(ROW, replace(ROW, **{name: PRIVATE[name]}, version=7)) is None


@pytest.mark.parametrize("name", sorted({field.name for field in fields(ImageRecord)} - {*PRIVATE, "version"}))
def test_everything_else_is_a_change(name):
    other = NOON if name == "next_attempt_at" else Status.FAILED if name == "status" else f"another {name}"
    assert find_change(ROW, replace(ROW, **{name: other}))


def test_the_api_shows_nothing_that_is_no_change():
    assert not PRIVATE.keys() & ImageOut.model_fields.keys()


@pytest.mark.parametrize(
    ("events", "type_"),
    [
        ([requested()], ChangeType.AWAITING_UPLOAD),
        ([put()], ChangeType.PENDING),
        ([put(), processing()], ChangeType.PROCESSING),
        ([put(), processing(), retrying()], ChangeType.RETRYING),
        ([put(), retrying(), processing(attempt=2)], ChangeType.PROCESSING),
        ([put(), failed()], ChangeType.FAILED),
        ([put(), done()], ChangeType.DONE),
    ],
)
def test_a_change_is_named_after_the_state_that_it_leads_to(events, type_):
    assert find_change(None, fold(None, events, lambda: None)) is type_


def test_a_cleared_change_can_still_be_shown():
    """Each cleared value has the type of its column, so that readers need no special case."""
    names = {field.name for field in fields(ImageRecord)}
    assert CLEARED_DATA.keys() <= names
    assert {name for name, value in CLEARED_DATA.items() if value == []} == {"variants", "missing"}
