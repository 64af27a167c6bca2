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


def problem_code(row, *, later=timedelta(0)):
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
def test_which_images_can_be_retried(row, code):
    assert problem_code(row) == code


def test_an_image_that_failed_again_must_wait():
    again = replace(FAILED, run_id="2026-11-22T00:00:00+00:00")
    assert problem_code(again, later=timedelta(seconds=59)) is Code.RETRIED_TOO_SOON
    assert problem_code(again, later=timedelta(seconds=61)) is None
    with pytest.raises(Problem) as rejection:
        check_retryable(again, NOW + timedelta(seconds=50), 60)
    assert (rejection.value.status, rejection.value.headers["Retry-After"]) == (429, "10")


class FakePublisher:
    def __init__(self):
        self.published = []
        self.error = None

    def publish_event(self, event):
        if self.error:
            raise self.error
        self.published.append(event)


@pytest.fixture
def publisher():
    return FakePublisher()


def run(publisher, *steps):
    """Run the steps with a tracker client, and wait for the reports in flight after each."""

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


def test_a_retry_names_the_run_that_failed(publisher):
    ahead = "2999-01-01T00:00:00.000000+00:00"
    row = replace(FAILED, run_id=ahead, updated_at=datetime(2000, 1, 1, tzinfo=UTC))
    run(publisher, lambda tracker: tracker.request_retry(row, "00-1-2-3"))
    [event] = publisher.published
    assert (event.source, event.data.after, str(event.data.object_version)) == ("/gateway", ahead, SOURCE)
    assert event.data.run_id > ahead, "the tracker accepts only a later run"
    assert not event.data.forced


def test_a_retry_that_is_not_confirmed_fails(publisher):
    publisher.error = DependencyUnavailable("rabbitmq")
    with pytest.raises(DependencyUnavailable):
        run(publisher, lambda tracker: tracker.request_retry(FAILED, ""))


def test_missing_variants_are_reported_once_a_minute(publisher, monkeypatch):
    row = replace(DONE, object_version=SOURCE)
    other = replace(row, id=replace(row).id.__class__(int=1))
    run(
        publisher,
        *[lambda tracker: tracker.report_missing(row, [KEY], "")] * 5,
        lambda r: r.report_missing(other, [], ""),
    )
    assert [event.data.missing for event in publisher.published] == [[KEY], []]
    monkeypatch.setattr(tracker_module, "REPORT_INTERVAL_SECONDS", 0)
    run(publisher, *[lambda tracker: tracker.report_missing(row, [KEY], "")] * 2)
    assert len(publisher.published) == 4


def test_a_report_that_failed_is_repeated_for_the_next_request(publisher):
    row = replace(DONE, object_version=SOURCE)

    def restore(_):
        publisher.error = None

    publisher.error = DependencyUnavailable("rabbitmq")
    run(publisher, lambda r: r.report_missing(row, [KEY], ""), restore, lambda r: r.report_missing(row, [KEY], ""))
    assert len(publisher.published) == 1


def test_an_untracked_object_is_not_reported(publisher):
    run(publisher, lambda tracker: tracker.report_missing(replace(DONE, object_version=None), [], ""))
    assert publisher.published == []


def test_the_oldest_reported_image_is_forgotten(publisher, monkeypatch):
    monkeypatch.setattr(tracker_module, "MAX_REMEMBERED", 2)
    rows = [replace(DONE, object_version=SOURCE, id=DONE.id.__class__(int=n)) for n in range(3)]
    steps = [lambda tracker, row=row: tracker.report_missing(row, [], "") for row in [*rows, rows[0], rows[2]]]
    run(publisher, *steps)
    assert len(publisher.published) == 4, "the first report was forgotten, the last was not"
