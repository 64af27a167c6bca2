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
from thumbmill.gateway.images import polling
from thumbmill.gateway.images.lookup import Lookup
from thumbmill.gateway.images.presenter import etag_of
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.urls import Links

S3_KEY = "holiday/ä b+c 100%.jpg"
A_MINUTE = timedelta(minutes=1)


class FakeRepository:
    """Returns the given pairs, the last one indefinitely."""

    def __init__(self, *results):
        self.results = list(results)

    async def get(self, *_):
        row, caught_up_to = self.results.pop(0) if len(self.results) > 1 else self.results[0]
        return row, caught_up_to() if callable(caught_up_to) else caught_up_to


@pytest.fixture(autouse=True)
def short_timeouts(monkeypatch):
    monkeypatch.setattr(polling, "TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr(polling, "POLL_SECONDS", 0.01)


def now():
    return datetime.now(UTC)


HEAD = ObjectMetadata(ObjectVersion("0" * 32, 3, 1_700_000_000), "0" * 32, "text/html", {})
TICKET_NAME = "name in the ticket.jpg"


def row_of(image_id, status, **values):
    ticket = {
        "generation": 0,
        "size": None,
        "variants": [],
        "attempts": 0,
        "file_name": TICKET_NAME,
        "version": 1,
    }
    values = (ticket if status in {"AWAITING_UPLOAD", "EXPIRED"} else {}) | values
    return replace(DONE, id=image_id, key=upload_key(image_id), status=status, **values)


def run(query, *results, keys=(), error=None):
    """Run a query of a lookup over these results of the repository and a store with these keys."""
    storage = FakeStorage()
    storage.objects = {(ORIGINALS_BUCKET, key): HEAD for key in keys}
    storage.error = error
    executor = BoundedExecutor("minio", 1, deadline_seconds=5)
    try:
        return asyncio.run(query(Lookup(FakeRepository(*results), storage, executor)))
    except Problem as problem:
        return problem.code
    finally:
        executor.close()


def find(image_id, *results, **bucket):
    return run(lambda lookup: lookup.find(image_id, ""), *results, **bucket)


@pytest.mark.parametrize("status", ["PENDING", "PROCESSING", "DONE", "FAILED", "DELETED"])
def test_a_row_with_an_object_suffices(status):
    row = row_of(new_image_id(), status)
    assert find(row.id, (row, None), error=AssertionError("the bucket was read")) is row


def test_an_object_without_a_row_is_pending():
    image_id = new_image_id()
    row = find(image_id, (None, now() + A_MINUTE), keys=[upload_key(image_id)])
    assert (row.id, row.key, row.status, row.size) == (image_id, upload_key(image_id), Status.PENDING, 3)


@pytest.mark.parametrize("status", ["AWAITING_UPLOAD", "EXPIRED"])
def test_the_untracked_object_of_a_ticket_is_pending(status):
    ticket = row_of(new_image_id(), status)
    row = find(ticket.id, (ticket, None), keys=[ticket.key])
    assert (row.status, row.generation, row.size, row.file_name) == (Status.PENDING, 1, 3, TICKET_NAME)
    assert row == run(lambda lookup: lookup.find_by_key(ticket.key, ""), (ticket, None), keys=[ticket.key])
    assert etag_of(row, Links("http://here")) != etag_of(ticket, Links("http://here"))
    assert etag_of(row, Links("http://here")) != etag_of(
        row_of(ticket.id, "PENDING", version=ticket.version + 1), Links("http://here")
    )
    assert find(ticket.id, (ticket, None)) is ticket


@pytest.mark.parametrize("status", [None, "AWAITING_UPLOAD", "EXPIRED"])
def test_without_the_bucket_there_is_no_status(status):
    image_id = new_image_id()
    row = row_of(image_id, status) if status else None
    with pytest.raises(DependencyUnavailable):
        find(image_id, (row, now() + A_MINUTE), error=DependencyUnavailable("minio", "connection refused"))


@pytest.mark.parametrize("status", [None, "AWAITING_UPLOAD"])
def test_an_object_that_was_tracked_and_deleted_during_the_lookup(status):
    image_id = new_image_id()
    before, after = row_of(image_id, status) if status else None, row_of(image_id, "DELETED")
    assert find(image_id, (before, None), (after, None)) is after
    assert run(lambda lookup: lookup.find_by_key(upload_key(image_id), ""), (before, None), (after, None)) is after


@pytest.mark.parametrize("position", range(5))
def test_the_status_never_goes_back_whenever_the_ticket_is_tracked(position):
    story = ["stored", "upload tracked", "done", "deleted"]
    story.insert(position, "ticket tracked")
    image_id = new_image_id()
    order = [(0, "AWAITING_UPLOAD"), (1, "PENDING"), (1, "DONE"), (1, "DELETED")]
    row, keys, seen = None, [], []
    for step in story:
        match step:
            case "ticket tracked":
                row = row or row_of(image_id, "AWAITING_UPLOAD")
            case "stored":
                keys = [upload_key(image_id)]
            case "upload tracked":
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


def test_deletion_waits_until_the_object_is_tracked():
    ticket, tracked = row_of(new_image_id(), "AWAITING_UPLOAD"), row_of(new_image_id(), "PENDING")

    def wait(*results, **bucket):
        return run(lambda lookup: lookup.wait_until_tracked(ticket.id, ""), *results, **bucket)

    for untracked in (None, ticket):
        assert wait((untracked, None), keys=[ticket.key]) is Code.NOT_CAUGHT_UP
        assert wait((untracked, None), (untracked, None), (tracked, None), keys=[ticket.key]) is tracked
    assert wait((ticket, None)) is ticket
    assert wait((tracked, None), error=AssertionError("the bucket was read")) is tracked


@pytest.mark.parametrize("image_id", [new_image_id(), image_id_of(S3_KEY)])
def test_an_image_is_not_found_once_the_tracker_has_caught_up(image_id):
    assert find(image_id, (None, now() + A_MINUTE)) is Code.IMAGE_NOT_FOUND
    assert find(image_id, (None, now() + timedelta(milliseconds=1)), (None, now)) is Code.IMAGE_NOT_FOUND


@pytest.mark.parametrize("caught_up_to", [None, now() - A_MINUTE])
@pytest.mark.parametrize("image_id", [new_image_id(), image_id_of(S3_KEY)])
def test_an_untracked_id_waits_for_the_tracker(image_id, caught_up_to):
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
def test_ids_that_cannot_exist_are_not_found_at_once(image_id):
    assert find(image_id, (None, None)) is Code.IMAGE_NOT_FOUND


def test_an_id_from_an_idempotency_key_is_found_in_the_bucket_and_waited_for():
    image_id = uuid.UUID("07000000-0000-8000-8000-000000000000")
    assert find(image_id, (None, None), keys=[upload_key(image_id)]).status is Status.PENDING
    assert find(image_id, (None, None)) is Code.NOT_CAUGHT_UP
    assert find(image_id, (None, now() + A_MINUTE)) is Code.IMAGE_NOT_FOUND


def test_an_object_is_found_only_for_its_tenant():
    """The tracker has no row yet, so the bucket alone decides."""
    image_id = new_image_id("acme")
    key = upload_key(image_id, "acme")

    def find_for(tenant):
        return run(lambda lookup: lookup.find(image_id, tenant), (None, now() + A_MINUTE), keys=[key])

    def find_key_for(tenant):
        return run(lambda lookup: lookup.find_by_key(key, tenant), (None, None), keys=[key])

    assert (find_for("acme").key, find_key_for("acme").id) == (key, image_id)
    for tenant in ("", "other"):
        assert (find_for(tenant), find_key_for(tenant)) == (Code.IMAGE_NOT_FOUND, None)


def test_no_key_is_made_from_an_id_without_the_tag_of_its_tenant():
    """Such a key is that of another image, as a UUIDv5."""
    image_id = new_image_id()
    keys = [upload_key(image_id), upload_key(image_id, "acme")]
    query = (None, now() + A_MINUTE)
    assert run(lambda lookup: lookup.find(image_id, "acme"), query, keys=keys) is Code.IMAGE_NOT_FOUND
