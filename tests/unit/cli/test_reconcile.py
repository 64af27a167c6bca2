import json
from io import StringIO

import pytest
from rich.console import Console

from tests.unit.cli.fake_tracker import INTERRUPT, FakeTracker, state
from thumbmill.cli import reconcile, tracker_client
from thumbmill.core.errors import DependencyRejected, DependencyUnavailable

KINDS = ("missed", "vanished", "stuck", "missing_variants", "orphans")
UNAVAILABLE = DependencyUnavailable("status-tracker", "connection refused")


def report(*, changed=True, **found):
    return {
        "originals": 12_000,
        "variants": 36_000,
        "seconds": 8.25,
        "found": dict.fromkeys(KINDS, 0) | found,
        "changed": changed,
    }


def done(**changes):
    return state("done", report(**changes))


@pytest.fixture
def tracker(monkeypatch, tmp_path):
    return FakeTracker(monkeypatch, tmp_path)


@pytest.fixture
def run(tracker):
    return lambda *answers, arguments=(): tracker.run("reconcile", *arguments, answers=answers)


def test_what_was_found_and_done_is_a_table(run, tracker):
    result = run(state("waiting"), state("running", report()), done(missed=1, orphans=1234))
    assert result.exit_code == 0
    assert tracker.url == "http://127.0.0.1:8002"
    assert tracker.created == [("/reconciliation", {"dry_run": False, "operator": "ada"})]
    table = " ".join(result.stdout.split())
    assert "1 objects without a row events republished" in table
    assert "1,234 images with variants that no row names" in table
    assert "rows without their object" not in table
    assert "12,000 originals and 36,000 variants compared in 8.2 s; all of it is repaired" in table


def test_a_dry_run_requests_one_and_reports_that_nothing_was_changed(run, tracker):
    result = run(done(changed=False, stuck=2), arguments=["--dry-run"])
    assert result.exit_code == 0
    assert tracker.created[0][1]["dry_run"] is True
    assert "would be" in result.stdout
    assert "nothing was changed" in result.stdout


def test_where_nothing_differs_there_is_no_table(run):
    result = run(done())
    assert result.exit_code == 0
    assert result.stdout.strip().endswith("nothing differs")
    assert "\n" not in result.stdout.strip()


def test_for_programs_there_is_one_object(run):
    result = run(done(missed=1), arguments=["--json"])
    assert json.loads(result.stdout) == report(missed=1)


@pytest.mark.parametrize(
    ("answers", "code", "reason"),
    [
        ([UNAVAILABLE], 1, "STATUS_TRACKER_URL=http://127.0.0.1:8002"),
        ([DependencyRejected("status-tracker", "it answers 404")], 1, "404"),
        ([state("running"), DependencyRejected("status-tracker", "it answers 404")], 1, "404"),
        ([state("failed", report(), "postgres is unavailable")], 1, "postgres is unavailable"),
        ([state("running"), state("cancelled")], 1, "cancelled"),
        ([state("waiting"), INTERRUPT], 130, "interrupted"),
    ],
)
def test_a_request_that_does_not_succeed_has_an_exit_code_and_a_reason(run, answers, code, reason):
    result = run(*answers)
    assert result.exit_code == code, result.output
    assert reason in result.stderr
    assert result.stdout == ""


def test_an_interrupt_cancels_the_request(run, tracker):
    run(state("waiting"), INTERRUPT)
    assert tracker.cancelled == [("/reconciliation", 7)]


def test_a_tracker_that_restarts_meanwhile_is_waited_for(run):
    assert run(state("running", report()), UNAVAILABLE, UNAVAILABLE, done()).exit_code == 0


def test_a_tracker_that_does_not_come_back_is_unavailable(run, monkeypatch):
    monkeypatch.setattr(tracker_client, "RESTART_SECONDS", -1.0)
    result = run(state("running", report()), UNAVAILABLE)
    assert (result.exit_code, "connection refused" in result.stderr) == (1, True)


def test_invalid_settings_are_wrong_use(run, tracker, monkeypatch):
    monkeypatch.setenv("STATUS_TRACKER_URL", "tracker:8002")
    result = run(done())
    assert result.exit_code == 2
    assert "STATUS_TRACKER_URL" in result.stderr
    assert tracker.created == []


def test_a_kind_that_a_newer_tracker_finds_is_shown_by_its_name():
    console = Console(file=StringIO(), width=100)
    console.print(reconcile.tabulate(report(**{"novelties [red]\x1b[2J": 3})))
    assert "novelties [red]\\x1b[2J" in console.file.getvalue()


def test_without_a_terminal_progress_is_a_line_now_and_then(run, monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(tracker_client, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(tracker_client, "STATUS_LINE_SECONDS", 20.0)
    result = run(*[state("running", report())] * 35, done())
    assert len([line for line in result.stderr.splitlines() if "compared" in line]) in {2, 3}
