import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.gateway.fakes import FakeStorage
from tests.unit.gateway.test_presenter import DONE
from thumbmill.core.contracts.identity import (
    ORIGINALS_BUCKET,
    ObjectVersion,
    image_id_of,
    new_image_id,
    upload_key,
)
from thumbmill.core.contracts.status import Status
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.core.object_store.store import ObjectMetadata
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.images import lookup as lookup_module
from thumbmill.gateway.images.lookup import Lookup
from thumbmill.gateway.images.presenter import etag_of
from thumbmill.gateway.problems import Code, Problem

S3_KEY = "holiday/ä b+c 100%.jpg"
A_WHILE = timedelta(minutes=1)


class FakeRepository:
    """Answers with the given pairs, the last one for ever."""

    def __init__(self, *answers):
        self.answers = list(answers)

    async def get(self, _):
        row, caught_up_to = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return row, caught_up_to() if callable(caught_up_to) else caught_up_to


@pytest.fixture(autouse=True)
def short_timeouts(monkeypatch):
    monkeypatch.setattr(lookup_module, "TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(lookup_module, "POLL_SECONDS", 0.01)


def now():
    return datetime.now(UTC)


HEAD = ObjectMetadata(ObjectVersion("0" * 32, 3, 1_700_000_000), "0" * 32, "text/html", {})
TICKETS_NAME = "as the ticket has it.jpg"


def row_of(image_id, status, **values):
    ticket = {"generation": 0, "size": None, "variants": [], "attempts": 0, "file_name": TICKETS_NAME, "version": 1}
    values = (ticket if status in {"AWAITING_UPLOAD", "EXPIRED"} else {}) | values
    return replace(DONE, id=image_id, key=upload_key(image_id), status=status, **values)


def ask(question, *answers, keys=(), error=None):
    """Put a question to a lookup whose reader gives these answers, over a store with these keys."""
    storage = FakeStorage()
    storage.objects = {(ORIGINALS_BUCKET, key): HEAD for key in keys}
    storage.error = error
    executor = BoundedExecutor("minio", 1, deadline_seconds=5)
    try:
        return asyncio.run(question(Lookup(FakeRepository(*answers), storage, executor)))
    except Problem as problem:
        return problem.code
    finally:
        executor.close()


def find(image_id, *answers, **bucket):
    return ask(lambda lookup: lookup.find(image_id), *answers, **bucket)


@pytest.mark.parametrize("status", ["PENDING", "PROCESSING", "DONE", "FAILED", "DELETED"])
def test_a_row_that_knows_of_an_object_is_all_that_is_asked_for(status):
    row = row_of(new_image_id(), status)
    assert find(row.id, (row, None), error=AssertionError("the bucket was asked")) is row


def test_an_object_without_a_row_is_pending():
    image_id = new_image_id()
    row = find(image_id, (None, now() + A_WHILE), keys=[upload_key(image_id)])
    assert (row.id, row.key, row.status, row.size) == (image_id, upload_key(image_id), Status.PENDING, 3)


@pytest.mark.parametrize("status", ["AWAITING_UPLOAD", "EXPIRED"])
def test_a_tickets_object_is_pending_though_only_the_ticket_was_heard_of(status):
    ticket = row_of(new_image_id(), status)
    row = find(ticket.id, (ticket, None), keys=[ticket.key])
    assert (row.status, row.generation, row.size, row.file_name) == (Status.PENDING, 1, 3, TICKETS_NAME)
    assert row == ask(lambda lookup: lookup.find_by_key(ticket.key), (ticket, None), keys=[ticket.key])
    assert etag_of(row) != etag_of(ticket)
    assert etag_of(row) != etag_of(row_of(ticket.id, "PENDING", version=ticket.version + 1))
    assert find(ticket.id, (ticket, None)) is ticket


@pytest.mark.parametrize("status", [None, "AWAITING_UPLOAD", "EXPIRED"])
def test_while_the_bucket_cannot_be_asked_no_status_is_told(status):
    image_id = new_image_id()
    row = row_of(image_id, status) if status else None
    with pytest.raises(DependencyUnavailable):
        find(image_id, (row, now() + A_WHILE), error=DependencyUnavailable("minio", "it is away"))


@pytest.mark.parametrize("status", [None, "AWAITING_UPLOAD"])
def test_an_object_that_was_heard_of_and_deleted_while_the_bucket_was_asked(status):
    image_id = new_image_id()
    before, after = row_of(image_id, status) if status else None, row_of(image_id, "DELETED")
    assert find(image_id, (before, None), (after, None)) is after
    assert ask(lambda lookup: lookup.find_by_key(upload_key(image_id)), (before, None), (after, None)) is after


@pytest.mark.parametrize("place", range(5))
def test_whenever_the_ticket_is_heard_of_the_status_only_goes_on(place):
    story = ["stored", "upload heard of", "done", "deleted"]
    story.insert(place, "ticket heard of")
    image_id = new_image_id()
    order = [(0, "AWAITING_UPLOAD"), (1, "PENDING"), (1, "DONE"), (1, "DELETED")]
    row, keys, seen = None, [], []
    for step in story:
        match step:
            case "ticket heard of":
                row = row or row_of(image_id, "AWAITING_UPLOAD")
            case "stored":
                keys = [upload_key(image_id)]
            case "upload heard of":
                row = row_of(image_id, "PENDING")
            case "done":
                row = row_of(image_id, "DONE")
            case "deleted":
                keys, row = [], row_of(image_id, "DELETED")
        found = find(image_id, (row, None), keys=keys)
        if found is not Code.NOT_CAUGHT_UP:
            seen.append(order.index((found.generation, found.status)))
    assert seen == sorted(seen)
    assert len(set(seen)) >= 3


def test_who_deletes_waits_until_the_tracker_has_heard_of_the_object():
    ticket, heard_of = row_of(new_image_id(), "AWAITING_UPLOAD"), row_of(new_image_id(), "PENDING")

    def wait_until_tracked(*answers, **bucket):
        return ask(lambda lookup: lookup.wait_until_tracked(ticket.id), *answers, **bucket)

    for unheard in (None, ticket):
        assert wait_until_tracked((unheard, None), keys=[ticket.key]) is Code.NOT_CAUGHT_UP
        assert wait_until_tracked((unheard, None), (unheard, None), (heard_of, None), keys=[ticket.key]) is heard_of
    assert wait_until_tracked((ticket, None)) is ticket
    assert wait_until_tracked((heard_of, None), error=AssertionError("the bucket was asked")) is heard_of


@pytest.mark.parametrize("image_id", [new_image_id(), image_id_of(S3_KEY)])
def test_once_everything_up_to_the_question_was_seen_there_is_none(image_id):
    assert find(image_id, (None, now() + A_WHILE)) is Code.IMAGE_NOT_FOUND
    assert find(image_id, (None, now() + timedelta(milliseconds=1)), (None, now)) is Code.IMAGE_NOT_FOUND


@pytest.mark.parametrize("caught_up_to", [None, now() - A_WHILE])
@pytest.mark.parametrize("image_id", [new_image_id(), image_id_of(S3_KEY)])
def test_an_id_that_the_tracker_may_not_have_heard_of_waits_for_it(image_id, caught_up_to):
    row = row_of(image_id, "PENDING")
    assert find(image_id, (None, caught_up_to)) is Code.NOT_CAUGHT_UP
    assert find(image_id, (None, caught_up_to), (None, caught_up_to), (row, caught_up_to)) is row


@pytest.mark.parametrize(
    "image_id",
    [
        uuid.uuid4(),
        uuid.UUID(int=0),
        uuid.UUID("07000000-0000-7000-8000-000000000000"),  # a UUIDv7 from the year 2213
        uuid.UUID("ffffffff-ffff-7fff-8fff-ffffffffffff"),  # one from the year 10889
    ],
)
def test_ids_that_were_never_given_out_need_no_waiting(image_id):
    assert find(image_id, (None, None)) is Code.IMAGE_NOT_FOUND
