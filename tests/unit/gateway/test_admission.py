import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from thumbmill.core.errors import DependencyUnavailable
from thumbmill.gateway.images.repository import Backlog
from thumbmill.gateway.metrics import UPLOADS_REJECTED
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.uploads import admission as admission_module
from thumbmill.gateway.uploads.admission import AdmissionControl

NOW = datetime(2026, 11, 22, tzinfo=UTC)
UNAVAILABLE = DependencyUnavailable("postgres", "connection refused")


class FakeRepository:
    """Returns one result after the other, and then blocks."""

    def __init__(self, results):
        self.results = list(results)
        self.limits = []
        self.is_empty = asyncio.Event()

    async def backlog(self, limit):
        self.limits.append(limit)
        if not self.results:
            self.is_empty.set()
            await asyncio.Event().wait()
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


@pytest.fixture(autouse=True)
def no_delay(monkeypatch):
    monkeypatch.setattr(admission_module, "REFRESH_SECONDS", 0)


def waiting(images=0, oldest_seconds=None, caught_up_to=NOW):
    return Backlog(images, oldest_seconds, caught_up_to)


def find_problem(*results, images=0, seconds=0.0):
    """Read these backlogs, then check the capacity; return the problem, if there is one."""

    async def run():
        repository = FakeRepository(results)
        admission = AdmissionControl(repository, max_images=images, max_seconds=seconds)
        watching = asyncio.create_task(admission.watch())
        await asyncio.wait(
            {watching, asyncio.create_task(repository.is_empty.wait())}, return_when="FIRST_COMPLETED"
        )
        watching.cancel()
        try:
            admission.check_capacity("upload")
        except Problem as problem:
            return problem
        return None

    return asyncio.run(run())


def test_a_bug_does_not_block_uploads_forever():
    assert find_problem(waiting(11), RuntimeError("for the test"), images=10) is None
    assert find_problem(waiting(11), RuntimeError("for the test"), waiting(11), images=10)


def test_uploads_are_rejected_over_the_number_of_images():
    assert find_problem(waiting(10), images=10) is None
    before = UPLOADS_REJECTED.labels("upload", "images")._value.get()  # noqa: SLF001
    problem = find_problem(waiting(11), images=10)
    assert (problem.code, problem.status, problem.headers["Retry-After"]) == (Code.TOO_MANY_WAITING, 503, "10")
    assert problem.body()["detail"] == "more than 10 images wait to be processed: try again in 10 s"
    assert UPLOADS_REJECTED.labels("upload", "images")._value.get() == before + 1  # noqa: SLF001


def test_uploads_are_rejected_over_the_age_of_the_oldest():
    assert find_problem(waiting(), seconds=30) is None
    assert find_problem(waiting(1, 30.0), seconds=30) is None
    problem = find_problem(waiting(1, 31.4), seconds=30)
    assert problem.body()["detail"] == "an image has waited for 31 s to be processed: try again in 10 s"


def test_each_limit_can_be_set_alone():
    assert find_problem(waiting(1000, 1.0), seconds=30) is None
    assert find_problem(waiting(1, 1000.0), images=10) is None


def test_without_limits_the_backlog_is_not_read():
    async def run():
        repository = FakeRepository([waiting(1000, 1000.0)])
        admission = AdmissionControl(repository, max_images=0, max_seconds=0)
        await admission.watch()
        admission.check_capacity("upload")
        return repository.limits

    assert asyncio.run(run()) == []


def test_the_latest_backlog_counts():
    assert find_problem(waiting(11), waiting(10), images=10) is None
    assert find_problem(waiting(10), waiting(11), images=10)


def test_uploads_are_accepted_while_the_backlog_is_unknown():
    assert find_problem(images=10) is None
    assert find_problem(waiting(11), UNAVAILABLE, images=10) is None
    assert find_problem(UNAVAILABLE, waiting(11), images=10)
    assert find_problem(waiting(11, caught_up_to=None), images=10) is None


def test_the_backlog_of_a_stalled_tracker_is_ignored(monkeypatch):
    monkeypatch.setattr(admission_module, "STALE_SECONDS", -1)  # no time at all is too long
    assert find_problem(waiting(11), waiting(11), images=10) is None
    monkeypatch.setattr(admission_module, "STALE_SECONDS", 0)
    assert find_problem(waiting(11), waiting(11, caught_up_to=NOW + timedelta(seconds=1)), images=10)
