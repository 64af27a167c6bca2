import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from gateway import lookup as lookup_module
from gateway.lookup import Lookup
from gateway.models import Status
from gateway.problems import Code, Problem
from gateway.threads import Threads
from pipeline.identity import ORIGINALS, Source, image_id_of, new_image_id, own_key
from pipeline.storage import Head
from unit.gateway.fakes import FakeStorage

S3_KEY = "holiday/ä b+c 100%.jpg"
A_WHILE = timedelta(minutes=1)


class FakeReader:
    """Answers with the given pairs, the last one for ever."""

    def __init__(self, *answers):
        self.answers = list(answers)

    async def image(self, _):
        row, caught_up_to = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return row, caught_up_to() if callable(caught_up_to) else caught_up_to


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(lookup_module, "PATIENCE_SECONDS", 0.05)
    monkeypatch.setattr(lookup_module, "STEP_SECONDS", 0.01)


def now():
    return datetime.now(UTC)


def find(image_id, *answers, keys=()):
    storage = FakeStorage()
    for key in keys:
        storage.objects[ORIGINALS, key] = Head(Source("0" * 32, 3, 1_700_000_000), "0" * 32, "text/html", {})
    threads = Threads("minio", 1, deadline_seconds=5)
    try:
        return asyncio.run(Lookup(FakeReader(*answers), storage, threads).image(image_id))
    except Problem as problem:
        return problem.code
    finally:
        threads.close()


def test_a_row_is_all_that_is_asked_for():
    row = object()
    assert find(new_image_id(), (row, None)) is row


def test_an_object_without_a_row_is_pending():
    image_id = new_image_id()
    row = find(image_id, (None, now() + A_WHILE), keys=[own_key(image_id)])
    assert (row.id, row.key, row.status, row.size) == (image_id, own_key(image_id), Status.PENDING, 3)


@pytest.mark.parametrize("image_id", [new_image_id(), image_id_of(S3_KEY)])
def test_once_everything_up_to_the_question_was_seen_there_is_none(image_id):
    assert find(image_id, (None, now() + A_WHILE)) is Code.IMAGE_NOT_FOUND
    assert find(image_id, (None, now() + timedelta(milliseconds=1)), (None, now)) is Code.IMAGE_NOT_FOUND


@pytest.mark.parametrize("caught_up_to", [None, now() - A_WHILE])
@pytest.mark.parametrize("image_id", [new_image_id(), image_id_of(S3_KEY)])
def test_an_id_that_the_tracker_may_not_have_heard_of_waits_for_it(image_id, caught_up_to):
    row = object()
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
