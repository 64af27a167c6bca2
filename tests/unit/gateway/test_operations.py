import asyncio
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.gateway.app_client import call
from thumbmill.core.contracts.error_codes import ErrorCode
from thumbmill.core.errors import DependencyUnavailable
from thumbmill.gateway.executor import BoundedExecutor
from thumbmill.gateway.operations.advice import find_problems
from thumbmill.gateway.operations.cache import Cached
from thumbmill.gateway.operations.order_models import RedriveRequest
from thumbmill.gateway.operations.orders import Orders, make_preview, operator_name
from thumbmill.gateway.operations.repository import (
    DeadLetterRow,
    QueueRow,
    ReconciliationRow,
    RedriveRow,
    ThroughputRow,
    WaitingRow,
)
from thumbmill.gateway.operations.system import SystemReports, to_dead_letter_queues, to_queues, to_throughput
from thumbmill.gateway.operations.system_models import System, TrackerState, Waiting, Worker
from thumbmill.gateway.problems import Code, Problem
from thumbmill.gateway.readiness import ReadinessReport

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
ID = uuid.UUID(int=7)
EXHAUSTED, UNREADABLE = ErrorCode.ATTEMPTS_EXHAUSTED, ErrorCode.UNREADABLE_IMAGE
COUNTS = {"attempts_exhausted": 23, "unreadable_image": 4, "a_code_of_a_newer_version": 2}


def worker(**values):
    defaults = {
        "id": uuid.uuid4(),
        "host": "a",
        "process_id": 1,
        "version": "1",
        "started_at": NOW,
        "last_seen": NOW,
        "decoders": 2,
        "slow_decoders": 1,
        "in_flight": 3,
        "presets": "v1",
        "missing": False,
    }
    return Worker(**defaults | values)


def system(**values):
    defaults = {
        "at": NOW,
        "problems": [],
        "dependencies": [],
        "tracker": TrackerState(caught_up_to=NOW, lag_seconds=1),
        "queues": [],
        "dead_letters": [],
        "workers": [worker()],
        "waiting": Waiting(images=0),
        "operator_actions": True,
    }
    return System(**defaults | values)


def queue(name, ready, age=0):
    return QueueRow(name, ready, NOW - timedelta(seconds=age))


# --- problems and what to do ------------------------------------------------------------------------------


def test_a_system_without_problems():
    assert find_problems(system(), NOW) == []


@pytest.mark.parametrize(
    ("values", "component", "said"),
    [
        ({"tracker": TrackerState()}, "status-tracker", "never caught up"),
        ({"tracker": TrackerState(caught_up_to=NOW, lag_seconds=95)}, "status-tracker", "95 s behind"),
        ({"workers": []}, "thumbnailer", "No thumbnailer is running."),
        ({"workers": [], "waiting": Waiting(images=2)}, "thumbnailer", "Images are waiting"),
        ({"workers": [worker(), worker(host="b", missing=True)]}, "thumbnailer", "on b was last seen"),
        ({"workers": [worker(), worker(presets="v2")]}, "thumbnailer", "different presets: v1, v2"),
        ({"queues": to_queues([queue("unrouted", 3)], [])}, "unrouted", "3 messages reached no queue"),
        ({"queues": to_queues([queue("image_queue", 0, age=120)], [])}, "queues", "120 s old"),
    ],
)
def test_each_problem_names_its_part_and_the_next_step(values, component, said):
    [problem] = find_problems(system(**values), NOW)
    assert problem.component == component
    assert said in problem.problem
    assert problem.what_to_do


def test_dead_letters_are_a_problem_with_their_reasons():
    rows = [
        DeadLetterRow("image_queue.dead", None, code, "no answer", NOW, superseded=False)
        for code in ("attempts_exhausted", "malformed_event", "attempts_exhausted")
    ]
    queues = to_dead_letter_queues([queue("image_queue", 9), queue("image_queue.dead", 3)], rows)
    [problem] = find_problems(system(dead_letters=queues), NOW)
    assert "3 messages were given up (2 attempts_exhausted, 1 malformed_event)" in problem.problem


class Views:
    """Stands for the views; ``error`` is what Postgres does."""

    def __init__(self, error=None):
        self.error = error
        self.counted = []

    async def waiting(self):
        if self.error:
            raise self.error
        return WaitingRow(0, None, NOW)

    async def now(self):
        return NOW

    async def count_failed(self, scope):
        self.counted.append(scope)
        return COUNTS

    async def reconciliations(self, run_id):
        if self.error:
            raise self.error
        return [ReconciliationRow(run_id, "waiting", True, "ada", NOW, None, None, "", 0, None)]

    async def redrives(self, redrive_id):
        if self.error:
            raise self.error
        parameters = {"codes": ["attempts_exhausted"], "ids": [], "since": None, "until": None, "force": False}
        return [RedriveRow(redrive_id, "running", False, "ada", NOW, NOW, None, "", parameters, 5, 3, 1, 1, 0)]


class Servers:
    def __init__(self, **errors):
        self.report = ReadinessReport(degraded=errors)

    async def check(self):
        return self.report


def test_without_postgres_the_rest_is_still_reported():
    views = Views(DependencyUnavailable("postgres", "no answer"))
    found = asyncio.run(SystemReports(views, Servers(rabbitmq="refused"), operator_actions=False).get())
    assert {server.name: server.available for server in found.dependencies} == {
        "postgres": False,
        "minio": True,
        "rabbitmq": False,
    }
    assert [problem.component for problem in found.problems] == ["postgres", "rabbitmq"]
    assert (found.waiting, found.throughput, found.operator_actions) == (None, None, False)


def test_what_the_thumbnailers_have_not_acknowledged_is_of_their_queue():
    rows = [queue(name, 1) for name in ("pictures", "pictures.dead", "status_tracker", "status_tracker.dead")]
    queues = to_queues(rows, [worker(in_flight=3), worker(in_flight=4), worker(in_flight=9, missing=True)])
    assert {one.name: one.unacknowledged for one in queues} == {
        "pictures": 7,
        "pictures.dead": None,
        "status_tracker": None,
        "status_tracker.dead": None,
    }


@pytest.mark.parametrize(
    ("row", "window", "per_minute"),
    [
        (ThroughputRow(50, 0.5, 2.0, 120.0, 200), 300, 10),
        (ThroughputRow(0, None, None, None, 0), 300, 0),
        (ThroughputRow(50, 0.5, 2.0, 60.0, 5000), 60, 50),  # the window began before what was read
    ],
)
def test_the_throughput_is_that_of_its_window(row, window, per_minute):
    found = to_throughput(row)
    assert (found.window_seconds, found.images_per_minute) == (window, per_minute)


# --- redrives ---------------------------------------------------------------------------------------------


def test_a_preview_leaves_out_what_would_fail_again_and_names_it():
    preview = make_preview(COUNTS, RedriveRequest(since=NOW), NOW)
    assert (preview.images, preview.codes) == (23, {EXHAUSTED: 23})
    assert [(left.code, left.images) for left in preview.not_retryable] == [(UNREADABLE, 4)]
    assert preview.not_retryable[0].meaning
    forced = make_preview(COUNTS, RedriveRequest(since=NOW, force=True), NOW)
    assert (forced.images, forced.not_retryable) == (27, [])


def test_a_preview_counts_ids_that_name_no_failed_image():
    ids = [uuid.UUID(int=n) for n in range(40)]
    assert make_preview(COUNTS, RedriveRequest(ids=[*ids, ids[0]]), NOW).not_failed == 40 - 27
    assert make_preview(COUNTS, RedriveRequest(codes=[EXHAUSTED]), NOW).not_failed == 0


class Publisher:
    def __init__(self):
        self.events = []

    def publish_event(self, event):
        self.events.append(event)


@pytest.fixture
def publisher():
    return Publisher()


def order(publisher, step, *, enabled=True, views=None):
    async def run():
        executor = BoundedExecutor("rabbitmq", 1, deadline_seconds=5)
        try:
            return await step(Orders(views or Views(), publisher, executor, enabled))
        finally:
            executor.close()

    return asyncio.run(run())


def test_a_redrive_is_about_what_its_preview_counted(publisher):
    request = RedriveRequest(codes=[EXHAUSTED], since=NOW - timedelta(days=1))

    async def redrive(orders):
        preview = await orders.preview(request)
        return await orders.redrive(request, preview, operator="API key 1", traceparent="")

    shown = order(publisher, redrive)
    [event] = publisher.events
    assert (event.data.codes, event.data.since, event.data.until) == (request.codes, request.since, NOW)
    assert (event.data.operator, event.subject, event.source) == ("API key 1", "", "/gateway")
    assert (shown.id, shown.progress.redriven, shown.progress.done) == (event.id, 5, 3)
    assert shown.scope.codes == [EXHAUSTED]


def test_an_order_that_was_published_is_accepted_though_postgres_is_unavailable(publisher):
    """The tracker carries it out later: after an error, the client would send it a second time."""
    views = Views(DependencyUnavailable("postgres", "down"))
    request = RedriveRequest(codes=[EXHAUSTED])

    async def both(orders):
        preview = await orders.preview(request)
        redrive = await orders.redrive(request, preview, operator="ada", traceparent="")
        return redrive, await orders.reconcile(dry_run=False, operator="ada", traceparent="")

    shown = order(publisher, both, views=views)
    assert [one.state for one in shown] == ["requested"] * 2
    assert [one.id for one in shown] == [event.id for event in publisher.events]


def test_orders_can_be_switched_off(publisher):
    with pytest.raises(Problem) as rejection:
        order(publisher, lambda o: o.reconcile(dry_run=True, operator="x", traceparent=""), enabled=False)
    assert (rejection.value.code, rejection.value.status) == (Code.OPERATOR_ACTIONS_OFF, 403)
    assert publisher.events == []


def test_an_order_names_its_client_and_never_the_key():
    assert operator_name("0123456789abcdef") == "API key 0123456789abcdef"
    assert operator_name("") == "anonymous"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("redrives", {}),
        ("redrives", {"codes": ["no_such_code"]}),
        ("redrives", {"since": "2026-11-29T00:00:00Z", "to": "typo"}),
        ("reconciliations", {"dry_run": "yes"}),
        (f"images/{ID}/redrive", {"force": 1}),
    ],
)
def test_an_invalid_order_is_rejected_before_it_is_published(path, body):
    answer = call("POST", f"/api/v1/{path}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), answer.text


# --- values that many requests share ----------------------------------------------------------------------


def test_a_cached_value_is_computed_once_for_all_and_an_error_is_not_kept():
    computed = []

    async def compute():
        computed.append(1)
        await asyncio.sleep(0)
        if len(computed) == 1:
            raise DependencyUnavailable("postgres")
        return len(computed)

    async def read():
        cached = Cached(compute)
        with pytest.raises(DependencyUnavailable):
            await cached.get()
        return await asyncio.gather(*(cached.get() for _ in range(5)))

    assert asyncio.run(read()) == [2] * 5
