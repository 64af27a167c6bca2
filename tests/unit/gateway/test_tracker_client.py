import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.gateway.test_presenter import DONE
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.contracts.failure import Failure
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.images import tracker_client as tracker_module
from thumbmill.gateway.images.tracker_client import TrackerClient, check_retryable
from thumbmill.gateway.problems import Code, Problem

NOW = datetime(2026, 11, 22, tzinfo=UTC)
SOURCE = "e" * 32 + "/1000/1790000000"
EXHAUSTED = Failure.from_code(ErrorCode.ATTEMPTS_EXHAUSTED).model_dump(mode="json")
FAILED = replace(DONE, status="FAILED", variants=[], error=EXHAUSTED, object_version=SOURCE, updated_at=NOW)
KEY = DONE.variants[0]["key"]


def verdict(row, *, later=timedelta(0)):
    try:
        check_retryable(row, NOW + later, 60)
    except Problem as problem:
        return problem.code
    return None


@pytest.mark.parametrize(
    ("row", "code"),
    [
        (FAILED, None),
        (replace(FAILED, error={**EXHAUSTED, "code": "unreadable_image", "retryable": False}), Code.NOT_RETRYABLE),
        (replace(FAILED, status="PENDING", error=None), Code.ALREADY_RUNNING),
        (replace(FAILED, status="PROCESSING", error=None), Code.ALREADY_RUNNING),
        (replace(DONE, object_version=SOURCE), Code.NOT_FAILED),
        (replace(DONE, status="AWAITING_UPLOAD"), Code.NOT_FAILED),
        (replace(DONE, status="EXPIRED"), Code.NOT_FAILED),
        (replace(FAILED, status="DELETED"), Code.GONE),
    ],
)
def test_who_may_be_tried_again(row, code):
    assert verdict(row) == code


def test_what_failed_once_more_waits_a_while():
    again = replace(FAILED, run_id="2026-11-22T00:00:00+00:00")
    assert verdict(again, later=timedelta(seconds=59)) is Code.RETRIED_TOO_SOON
    assert verdict(again, later=timedelta(seconds=61)) is None
    with pytest.raises(Problem) as refused:
        check_retryable(again, NOW + timedelta(seconds=50), 60)
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "10")


class FakePublisher:
    def __init__(self):
        self.said = []
        self.error = None

    def publish_event(self, event):
        if self.error:
            raise self.error
        self.said.append(event)


@pytest.fixture
def publisher():
    return FakePublisher()


def run(publisher, *steps):
    """Take steps with requests; what nobody waits for has ended when this returns."""

    async def do():
        executor = BoundedExecutor("rabbitmq", 1, deadline_seconds=5)
        tracker = TrackerClient(publisher, executor, 60)
        try:
            for step in steps:
                result = step(tracker)
                if result is not None:
                    await result
                await tracker.close()
        finally:
            executor.close()

    asyncio.run(do())


def test_a_retry_names_the_failure_that_it_is_about(publisher):
    ahead = "2999-01-01T00:00:00.000000+00:00"
    row = replace(FAILED, run_id=ahead, updated_at=datetime(2000, 1, 1, tzinfo=UTC))
    run(publisher, lambda tracker: tracker.request_retry(row, "00-1-2-3"))
    [event] = publisher.said
    assert (event.source, event.data.after, str(event.data.object_version)) == ("/gateway", ahead, SOURCE)
    assert event.data.run_id > ahead, "or the tracker would not believe it"
    assert not event.data.forced


def test_a_retry_that_nobody_heard_is_no_202(publisher):
    publisher.error = DependencyUnavailable("rabbitmq")
    with pytest.raises(DependencyUnavailable):
        run(publisher, lambda tracker: tracker.request_retry(FAILED, ""))


def test_what_is_missed_is_told_once_a_minute(publisher, monkeypatch):
    row = replace(DONE, object_version=SOURCE)
    other = replace(row, id=replace(row).id.__class__(int=1))
    run(
        publisher,
        *[lambda tracker: tracker.report_missing(row, [KEY], "")] * 5,
        lambda r: r.report_missing(other, [], ""),
    )
    assert [event.data.missing for event in publisher.said] == [[KEY], []]
    monkeypatch.setattr(tracker_module, "REPORT_INTERVAL_SECONDS", 0)
    run(publisher, *[lambda tracker: tracker.report_missing(row, [KEY], "")] * 2)
    assert len(publisher.said) == 4


def test_what_could_not_be_told_is_told_to_the_next_who_asks(publisher):
    row = replace(DONE, object_version=SOURCE)

    def mend(_):
        publisher.error = None

    publisher.error = DependencyUnavailable("rabbitmq")
    run(publisher, lambda r: r.report_missing(row, [KEY], ""), mend, lambda r: r.report_missing(row, [KEY], ""))
    assert len(publisher.said) == 1


def test_nothing_is_told_of_an_object_that_only_the_bucket_shows(publisher):
    run(publisher, lambda tracker: tracker.report_missing(replace(DONE, object_version=None), [], ""))
    assert publisher.said == []


def test_a_few_are_remembered_and_the_oldest_forgotten(publisher, monkeypatch):
    monkeypatch.setattr(tracker_module, "MAX_REMEMBERED", 2)
    rows = [replace(DONE, object_version=SOURCE, id=DONE.id.__class__(int=n)) for n in range(3)]
    steps = [lambda tracker, row=row: tracker.report_missing(row, [], "") for row in [*rows, rows[0], rows[2]]]
    run(publisher, *steps)
    assert len(publisher.said) == 4, "the first was forgotten, the last not"
