from threading import Event

import pytest

from thumbmill.core.errors import DependencyUnavailable
from thumbmill.tracker.reconciliation import on_demand
from thumbmill.tracker.reconciliation.loop import Report
from thumbmill.tracker.reconciliation.on_demand import Errand, run_follow_ups, take_orders
from thumbmill.tracker.reconciliation.repair import StoppedError

REPORTS = [Report(n, 0, 0.1, {"missed": n}, changed=True) for n in (1, 2)]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(on_demand, "TELL_SECONDS", 0.001)


def told(reports, stop=None):
    return list(run_follow_ups(Errand(reports), stop or Event(), Event()))


def test_the_last_line_says_what_was_found():
    *earlier, last = told(iter([None, *REPORTS]))
    assert last == {"state": "done", **REPORTS[-1].to_dict()}
    assert {line["state"] for line in earlier} <= {"waiting", "running"}


def test_while_somebody_else_reconciles_it_says_so():
    others = Event()

    def reports():
        yield None
        others.wait()
        yield REPORTS[0]

    lines = run_follow_ups(Errand(reports()), Event(), Event())
    assert [next(lines), next(lines)] == [{"state": "waiting"}] * 2
    others.set()
    *_, last = lines
    assert last["state"] == "done"


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (DependencyUnavailable("minio", "no answer"), "minio is unavailable: no answer"),
        (StoppedError(), "stopping"),
        (LookupError("secret"), "its log"),
    ],
)
def test_what_breaks_off_says_why_and_how_far_it_came(fault, says):
    def reports():
        yield REPORTS[0]
        raise fault

    *_, last = told(reports())
    assert last["state"] == "failed"
    assert last["originals"] == 1
    assert says in last["fault"]


def endless(give_up):
    while not give_up.wait(0.001):
        yield REPORTS[0]
    raise StoppedError


def test_when_nobody_listens_the_pass_ends():
    give_up = Event()
    errand = Errand(endless(give_up))
    lines = run_follow_ups(errand, Event(), give_up)
    next(lines)
    lines.close()
    assert give_up.is_set()
    assert errand.fault


def test_when_the_tracker_stops_the_pass_ends():
    give_up, stop = Event(), Event()
    lines = run_follow_ups(Errand(endless(give_up)), stop, give_up)
    next(lines)
    stop.set()
    assert list(lines)[-1]["state"] == "failed"


@pytest.mark.parametrize("wishes", [{"dry": True}, {"dry_run": "yes"}, {"dry_run": True, "rate": 1}])
def test_wishes_that_it_does_not_know_are_refused(wishes):
    with pytest.raises(ValueError, match="dry_run"):
        take_orders(None, None, Event())(wishes)
