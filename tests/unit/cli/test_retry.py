from datetime import UTC, datetime, timedelta

import pytest
from typer.testing import CliRunner

from thumbmill.cli import retry
from thumbmill.cli.__main__ import app
from thumbmill.cli.retry import read_time
from thumbmill.core.errors import DependencyUnavailable

ID = "01a2019e-dd49-7c49-9ece-607b56bd764f"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def report(found=0, *, changed=True, state="done"):
    images = [{"id": ID, "code": "decoder_timeout"}] * min(found, 100)
    codes = {"decoder_timeout": found} if found else {}
    return {"state": state, "found": found, "codes": codes, "images": images, "changed": changed}


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run the command beside a tracker that tells these lines, or raises; give its result and the wishes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RABBITMQ_PASSWORD", "x")
    monkeypatch.setenv("THUMBMILL_OPERATOR", "ada")
    monkeypatch.setattr(retry, "raise_on_signals", lambda: None)

    def run(*arguments, told=()):
        wishes = []

        def give_order(url, path, wish):
            wishes.append((url, path, wish))
            for line in told:
                if isinstance(line, BaseException):
                    raise line
                yield line

        monkeypatch.setattr(retry, "give_order", give_order)
        return CliRunner().invoke(app, ["retry", *arguments]), wishes

    return run


def test_what_is_wanted_and_by_whom_goes_to_the_tracker(run):
    since = "2026-11-22T08:00:00+01:00"
    arguments = ["--code", "decoder_timeout", "--id", ID.upper(), "--since", since]
    result, wishes = run(*arguments, told=[{"state": "waiting"}, report(1, state="running"), report(1)])
    assert result.exit_code == 0, result.output
    [(url, path, wish)] = wishes
    assert (url, path) == ("http://127.0.0.1:8002", "/retry")
    assert wish == {
        "codes": ["decoder_timeout"],
        "ids": [ID],
        "since": "2026-11-22T07:00:00+00:00",
        "operator": "ada",
        "dry_run": False,
        "force": False,
    }
    assert ID in result.stdout
    assert "1 image is tried again (1 decoder_timeout)" in result.stderr


def test_a_dry_run_only_says_what_would_be(run):
    result, wishes = run("--since", "2h", "--dry-run", told=[report(1234, changed=False)])
    assert wishes[0][2]["dry_run"] is True
    assert "1,234 images would be tried again" in result.stderr
    assert "the first 100 are shown" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--code, --since or --id"),
        (["--code", "nonsense"], "there is no nonsense; there are attempts_exhausted"),
        (["--code", "unreadable_image"], "--force"),
        (["--since", "yesterday"], "ISO 8601"),
        (["--id", "nobody"], "no image's id"),
    ],
)
def test_wrong_use_is_told_before_anybody_is_asked(run, arguments, says):
    result, wishes = run(*arguments, told=[report(1)])
    assert result.exit_code == 2
    assert says in result.stderr
    assert wishes == []


def test_with_force_no_code_is_final(run):
    result, wishes = run("--code", "unreadable_image", "--force", told=[report(1)])
    assert result.exit_code == 0
    assert wishes[0][2]["force"] is True


@pytest.mark.parametrize(
    ("told", "code", "says"),
    [
        ([report(0)], 3, "no image"),
        ([], 1, "silent"),
        ([report(1, state="failed") | {"fault": "minio is away"}], 1, "minio is away"),
        ([DependencyUnavailable("status-tracker", "connection refused")], 1, "STATUS_TRACKER_URL="),
        ([KeyboardInterrupt()], 130, "interrupted"),
    ],
)
def test_what_ends_otherwise_says_so(run, told, code, says):
    result, _ = run("--since", "2h", told=told)
    assert result.exit_code == code, result.output
    assert says in result.stderr


def test_times_as_people_give_them():
    assert read_time("90m", NOW) == NOW - timedelta(minutes=90)
    assert read_time("3d", NOW) == NOW - timedelta(days=3)
    assert read_time("2026-11-22T08:00+02:00") == datetime(2026, 11, 22, 6, tzinfo=UTC)
    assert read_time("2026-11-22T08:00").tzinfo is UTC
    for nonsense in ("", "2", "h", "-2h", "2w", "tomorrow", "999999999d"):
        assert read_time(nonsense) is None
