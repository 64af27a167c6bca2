from io import StringIO

import pytest
from rich.console import Console
from typer.testing import CliRunner

from thumbmill.cli import reconcile
from thumbmill.cli.__main__ import app
from thumbmill.core.errors import DependencyRejected, DependencyUnavailable

KINDS = ("missed", "vanished", "stuck", "variants_gone", "orphans")


def report(state="done", *, changed=True, **found):
    return {
        "state": state,
        "originals": 12_000,
        "variants": 36_000,
        "seconds": 8.25,
        "found": dict.fromkeys(KINDS, 0) | found,
        "changed": changed,
    }


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run the command beside a tracker that tells these lines, or raises; give its result and the wishes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RABBITMQ_PASSWORD", "x")
    monkeypatch.setattr(reconcile, "raise_on_signals", lambda: None)

    def run(*told, arguments=()):
        wishes = []

        def give_order(url, path, wish):
            wishes.append((url, path, wish))
            for line in told:
                if isinstance(line, BaseException):
                    raise line
                yield line

        monkeypatch.setattr(reconcile, "give_order", give_order)
        return CliRunner().invoke(app, ["reconcile", *arguments]), wishes

    return run


def test_what_was_found_and_done_is_a_table(run):
    result, wishes = run({"state": "waiting"}, report("running"), report(missed=1, orphans=1234))
    assert result.exit_code == 0
    assert wishes == [("http://127.0.0.1:8002", "/reconcile", {"dry_run": False})]
    table = " ".join(result.stdout.split())
    assert "1 objects that no row knew announced again" in table
    assert "1,234 images with variants that no row names" in table
    assert "rows whose object is gone" not in table
    assert "12,000 originals and 36,000 variants compared in 8.2 s; all of that was put right" in table


def test_a_dry_run_asks_for_one_and_says_that_nothing_was_changed(run):
    result, wishes = run(report(changed=False, stuck=2), arguments=["--dry-run"])
    assert result.exit_code == 0
    assert wishes[0][2] == {"dry_run": True}
    assert "would be" in result.stdout
    assert "nothing was changed" in result.stdout


def test_where_nothing_differs_there_is_no_table(run):
    result, _ = run(report())
    assert result.exit_code == 0
    assert result.stdout.strip().endswith("nothing differs")
    assert "\n" not in result.stdout.strip()


def test_for_programs_there_is_one_object(run):
    result, _ = run(report(missed=1), arguments=["--json"])
    assert result.stdout.startswith('{"originals": 12000,')
    assert '"missed": 1' in result.stdout


@pytest.mark.parametrize(
    ("told", "code", "says"),
    [
        (
            [DependencyUnavailable("status-tracker", "connection refused")],
            1,
            "STATUS_TRACKER_URL=http://127.0.0.1:8002",
        ),
        ([DependencyRejected("status-tracker", "it answers 404")], 1, "404"),
        ([report("failed") | {"fault": "postgres is away"}], 1, "postgres is away"),
        ([report("running")], 1, "silent"),
        ([], 1, "silent"),
        ([report("running"), KeyboardInterrupt()], 130, "interrupted"),
    ],
)
def test_what_ends_badly_says_what_to_do_in_its_exit_code_and_in_words(run, told, code, says):
    result, _ = run(*told)
    assert result.exit_code == code, result.output
    assert says in result.stderr
    assert result.stdout == ""


def test_wrong_settings_are_wrong_use(run, monkeypatch):
    monkeypatch.setenv("STATUS_TRACKER_URL", "tracker:8002")
    result, wishes = run(report())
    assert result.exit_code == 2
    assert "STATUS_TRACKER_URL" in result.stderr
    assert wishes == []


def test_a_kind_that_a_newer_tracker_finds_goes_by_its_name():
    console = Console(file=StringIO(), width=100)
    console.print(reconcile.tabulate(report(**{"novelties [red]\x1b[2J": 3})))
    assert "novelties [red]\\x1b[2J" in console.file.getvalue()


def test_without_a_terminal_progress_is_a_line_now_and_then(run):
    steps = [report("running") | {"seconds": float(n)} for n in range(35)]
    result, _ = run(*steps, report())
    assert len([line for line in result.stderr.splitlines() if "compared" in line]) == 3
