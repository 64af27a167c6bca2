from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.cli.fake_tracker import INTERRUPT, FakeTracker, state
from thumbmill.cli.retry import read_time
from thumbmill.core.errors import DependencyUnavailable

ID = "01a2019e-dd49-7c49-9ece-607b56bd764f"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def report(found=0, *, changed=True):
    images = [{"id": ID, "code": "decoder_timeout"}] * min(found, 100)
    codes = {"decoder_timeout": found} if found else {}
    return {"found": found, "codes": codes, "images": images, "changed": changed}


@pytest.fixture
def tracker(monkeypatch, tmp_path):
    return FakeTracker(monkeypatch, tmp_path)


@pytest.fixture
def run(tracker):
    return lambda *arguments, answers=(): tracker.run("retry", *arguments, answers=answers)


def test_filters_and_operator_are_sent_to_the_tracker(run, tracker):
    since = "2026-11-22T08:00:00+01:00"
    arguments = ["--code", "decoder_timeout", "--id", ID.upper(), "--since", since]
    result = run(*arguments, answers=[state("waiting"), state("running", report(1)), state("done", report(1))])
    assert result.exit_code == 0, result.output
    assert tracker.url == "http://127.0.0.1:8002"
    expected = {
        "codes": ["decoder_timeout"],
        "ids": [ID],
        "since": "2026-11-22T07:00:00+00:00",
        "operator": "ada",
        "dry_run": False,
        "force": False,
    }
    assert tracker.created == [("/retry", expected)]
    assert ID in result.stdout
    assert "1 image is being retried (1 decoder_timeout)" in result.stderr


def test_a_dry_run_only_reports_what_would_be_retried(run, tracker):
    result = run("--since", "2h", "--dry-run", answers=[state("done", report(1234, changed=False))])
    assert tracker.created[0][1]["dry_run"] is True
    assert "1,234 images would be retried" in result.stderr
    assert "the first 100 are shown" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "--code, --since or --id"),
        (["--code", "nonsense"], "unknown: nonsense; known codes: attempts_exhausted"),
        (["--code", "unreadable_image"], "--force"),
        (["--since", "yesterday"], "ISO 8601"),
        (["--id", "nobody"], "not an image ID"),
    ],
)
def test_wrong_use_is_reported_before_a_tracker_is_asked(run, tracker, arguments, reason):
    result = run(*arguments)
    assert result.exit_code == 2
    assert reason in result.stderr
    assert tracker.created == []


def test_with_force_no_code_is_final(run, tracker):
    result = run("--code", "unreadable_image", "--force", answers=[state("done", report(1))])
    assert result.exit_code == 0
    assert tracker.created[0][1]["force"] is True


@pytest.mark.parametrize(
    ("answers", "code", "reason"),
    [
        ([state("done", report(0))], 3, "no FAILED image"),
        ([state("failed", report(1), "minio is unavailable")], 1, "minio is unavailable"),
        ([DependencyUnavailable("status-tracker", "connection refused")], 1, "STATUS_TRACKER_URL="),
        ([INTERRUPT], 130, "interrupted"),
    ],
)
def test_another_end_has_an_exit_code_and_a_reason(run, answers, code, reason):
    result = run("--since", "2h", answers=answers)
    assert result.exit_code == code, result.output
    assert reason in result.stderr


def test_times_are_read_as_people_write_them():
    assert read_time("90m", NOW) == NOW - timedelta(minutes=90)
    assert read_time("3d", NOW) == NOW - timedelta(days=3)
    assert read_time("2026-11-22T08:00+02:00") == datetime(2026, 11, 22, 6, tzinfo=UTC)
    assert read_time("2026-11-22T08:00").tzinfo is UTC
    for nonsense in ("", "2", "h", "-2h", "2w", "tomorrow", "999999999d"):
        assert read_time(nonsense) is None
