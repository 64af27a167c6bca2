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
UNAVAILABLE = DependencyUnavailable("postgres", "it is away")


class FakeRepository:
    """Gives one answer after the other; who asks once more is kept waiting."""

    def __init__(self, answers):
        self.answers = list(answers)
        self.asked = []
        self.is_empty = asyncio.Event()

    async def backlog(self, limit):
        self.asked.append(limit)
        if not self.answers:
            self.is_empty.set()
            await asyncio.Event().wait()
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def no_delay(monkeypatch):
    monkeypatch.setattr(admission_module, "REFRESH_SECONDS", 0)


def waiting(images=0, oldest_seconds=None, caught_up_to=NOW):
    return Backlog(images, oldest_seconds, caught_up_to)


def rejection(*answers, images=0, seconds=0.0):
    """Watch a reader give these answers, then let an upload come: the problem, if it is refused."""

    async def run():
        repository = FakeRepository(answers)
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


def test_a_bug_of_ours_does_not_keep_the_doors_shut():
    assert rejection(waiting(11), RuntimeError("for the test"), images=10) is None
    assert rejection(waiting(11), RuntimeError("for the test"), waiting(11), images=10)


def test_over_the_number_of_images_uploads_are_turned_away():
    assert rejection(waiting(10), images=10) is None
    before = UPLOADS_REJECTED.labels("upload", "images")._value.get()  # noqa: SLF001
    problem = rejection(waiting(11), images=10)
    assert (problem.code, problem.status, problem.headers["Retry-After"]) == (Code.TOO_MANY_WAITING, 503, "10")
    assert problem.body()["detail"] == "more than 10 images wait to be processed: try again in 10 s"
    assert UPLOADS_REJECTED.labels("upload", "images")._value.get() == before + 1  # noqa: SLF001


def test_over_the_age_of_the_oldest_uploads_are_turned_away():
    assert rejection(waiting(), seconds=30) is None
    assert rejection(waiting(1, 30.0), seconds=30) is None
    problem = rejection(waiting(1, 31.4), seconds=30)
    assert problem.body()["detail"] == "an image has waited for 31 s to be processed: try again in 10 s"


def test_each_limit_alone_can_be_set():
    assert rejection(waiting(1000, 1.0), seconds=30) is None
    assert rejection(waiting(1, 1000.0), images=10) is None


def test_without_limits_nobody_is_asked():
    async def run():
        repository = FakeRepository([waiting(1000, 1000.0)])
        admission = AdmissionControl(repository, max_images=0, max_seconds=0)
        await admission.watch()
        admission.check_capacity("upload")
        return repository.asked

    assert asyncio.run(run()) == []


def test_the_last_figures_count():
    assert rejection(waiting(11), waiting(10), images=10) is None
    assert rejection(waiting(10), waiting(11), images=10)


def test_where_the_figures_cannot_be_had_uploads_are_taken():
    assert rejection(images=10) is None
    assert rejection(waiting(11), UNAVAILABLE, images=10) is None
    assert rejection(UNAVAILABLE, waiting(11), images=10)
    assert rejection(waiting(11, caught_up_to=None), images=10) is None


def test_figures_of_a_tracker_that_stands_still_count_no_longer(monkeypatch):
    monkeypatch.setattr(admission_module, "STALE_SECONDS", -1)  # no time at all is too long
    assert rejection(waiting(11), waiting(11), images=10) is None
    monkeypatch.setattr(admission_module, "STALE_SECONDS", 0)
    assert rejection(waiting(11), waiting(11, caught_up_to=NOW + timedelta(seconds=1)), images=10)
