"""Requests of operators: how the runner ends them, and what the admin port accepts."""

from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from thumbmill.core.errors import DependencyUnavailable
from thumbmill.tracker.background import ShutdownRequested
from thumbmill.tracker.on_demand import endpoints
from thumbmill.tracker.on_demand.endpoints import make_endpoints
from thumbmill.tracker.on_demand.request import OperatorRequest, Progress, RequestKind, RequestState
from thumbmill.tracker.on_demand.retry import RetryParameters
from thumbmill.tracker.on_demand.runner import RequestRunner
from thumbmill.tracker.reconciliation.repository import Cursor

KIND = RequestKind.RETRY
STEPS = [Progress({"found": n}, {"last_id": n}) for n in (1, 2)]


class Requests:
    """Stands for the table, with one request in it."""

    def __init__(self, progress=None):
        self.request = OperatorRequest(
            7, KIND, {}, False, "ada", datetime.now(UTC), RequestState.WAITING, progress or Progress(), ""
        )
        self.cancelled = False
        self.saved = []

    def start_next(self, kind):
        assert kind is KIND
        return None if self.saved and self.saved[-1][1] is not RequestState.RUNNING else self.request

    def save(self, request_id, progress, *, state=RequestState.RUNNING, error=""):
        assert request_id == self.request.id
        if not self.cancelled:
            self.saved.append((progress, state, error))
        return not self.cancelled


def test_progress_is_saved_after_each_step_and_the_request_is_done_then():
    requests = Requests()
    runner = RequestRunner(requests, KIND)
    assert runner.run_next(lambda _: iter(STEPS))
    assert requests.saved == [
        *((step, RequestState.RUNNING, "") for step in STEPS),
        (STEPS[-1], RequestState.DONE, ""),
    ]
    assert not runner.run_next(lambda _: iter(STEPS))


@pytest.mark.parametrize(
    ("error", "reason"),
    [(DependencyUnavailable("minio", "no answer"), "no answer"), (LookupError("secret"), "tracker's log")],
)
def test_a_request_that_fails_keeps_its_progress_and_names_the_reason(error, reason):
    def execute(_):
        yield STEPS[0]
        raise error

    requests = Requests()
    RequestRunner(requests, KIND).run_next(execute)
    progress, state, text = requests.saved[-1]
    assert (progress, state) == (STEPS[0], RequestState.FAILED)
    assert reason in text
    assert "secret" not in text


def test_a_tracker_that_stops_leaves_its_request_to_a_successor():
    def execute(_):
        yield STEPS[0]
        raise ShutdownRequested

    requests = Requests()
    with pytest.raises(ShutdownRequested):
        RequestRunner(requests, KIND).run_next(execute)
    assert requests.saved == [(STEPS[0], RequestState.RUNNING, "")]


def test_a_cancelled_request_ends_after_the_current_step():
    steps = []

    def execute(_):
        for step in STEPS:
            steps.append(step)
            yield step

    requests = Requests()
    requests.cancelled = True
    RequestRunner(requests, KIND).run_next(execute)
    assert (steps, requests.saved) == (STEPS[:1], [])


@pytest.mark.parametrize("cursor", [Cursor(), Cursor("b", "key", None, 5, 6)])
def test_a_cursor_survives_json(cursor):
    assert Cursor.from_json(cursor.to_json()) == cursor


def test_an_empty_position_is_the_start():
    assert Cursor.from_json({}) == Cursor()


# --- the admin port ------------------------------------------------------------------------------------------


@contextmanager
def _nothing_closed(connected):
    yield connected


@pytest.mark.parametrize(
    ("path", "parameters", "reason"),
    [
        ("/reconciliation", {"dry": True}, "dry"),
        ("/reconciliation", {"dry_run": "yes"}, "dry_run"),
        ("/reconciliation", {"dry_run": True, "rate": 1}, "rate"),
        ("/retry", {}, "operator"),
        ("/retry", {"operator": "ada", "codes": ["nonsense"]}, "codes"),
        ("/retry", {"operator": "ada", "ids": ["7"]}, "ids"),
        ("/retry", {"operator": "ada", "since": "yesterday"}, "since"),
        ("/retry", {"operator": "ada", "force": 1}, "force"),
        ("/retry/cancel", {}, "id"),
        ("/reconciliation/cancel", {"id": "x"}, "id"),
    ],
)
def test_invalid_parameters_are_rejected_before_anything_is_stored(path, parameters, reason):
    with pytest.raises(ValueError, match=reason):
        make_endpoints(lambda: pytest.fail("connected"))["POST", path](parameters)


def test_a_request_is_stored_and_shown_as_json(monkeypatch):
    stored = []

    class Repository:
        def __init__(self, _):
            pass

        def add(self, kind, parameters, *, dry_run, requested_by):
            stored.append((kind, parameters, dry_run, requested_by))
            return Requests().request

    monkeypatch.setattr(endpoints, "RequestRepository", Repository)
    monkeypatch.setattr(endpoints, "closing", _nothing_closed)
    shown = make_endpoints(lambda: None)["POST", "/retry"]({"operator": "ada", "codes": ["decoder_timeout"]})
    [(kind, parameters, dry_run, requested_by)] = stored
    assert (kind, dry_run, requested_by) == (RequestKind.RETRY, False, "ada")
    assert parameters == {
        "codes": ["decoder_timeout"],
        "ids": [],
        "since": None,
        "until": None,
        "force": False,
        "source": "cli",
    }
    assert RetryParameters(**parameters, operator="ada").codes == {"decoder_timeout"}
    assert shown | {"requested_at": ""} == {
        "id": 7,
        "kind": "retry",
        "state": "waiting",
        "dry_run": False,
        "requested_by": "ada",
        "requested_at": "",
        "report": None,
        "error": "",
    }
