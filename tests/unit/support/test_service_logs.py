"""The ends of the services' logs in the report of a failed test."""

from types import SimpleNamespace

import pytest

from tests.support.service_logs import BUDGET, ServiceLogs, read_end


@pytest.fixture
def logs(tmp_path):
    return ServiceLogs(SimpleNamespace(log_path=lambda name: tmp_path / f"{name}.log"))


def report(logs, *, failed=True, fixtures=("stack", "system")):
    """Return the sections that the plugin adds to a report."""
    hook = logs.pytest_runtest_makereport(SimpleNamespace(fixturenames=fixtures))
    next(hook)
    with pytest.raises(StopIteration) as returned:
        hook.send(SimpleNamespace(failed=failed, sections=[]))
    return returned.value.value.sections


def test_only_what_was_logged_during_the_test_is_reported(logs, tmp_path):
    (tmp_path / "minio.log").write_text("before\n")
    logs.pytest_runtest_setup()
    with (tmp_path / "minio.log").open("a") as log:
        log.write("during\n")
    (tmp_path / "gateway.log").write_text("a first line\n")
    assert report(logs) == [
        ("log of gateway during this test", "a first line"),
        ("log of minio during this test", "during"),
    ]
    assert report(logs, failed=False) == report(logs, fixtures=("tmp_path",)) == []


def test_many_failures_are_reported_within_the_budget(logs, tmp_path):
    (tmp_path / "gateway.log").write_text("a line of fifty characters, one of many in the log\n" * 1000)
    sections = [section for _ in range(100) for section in report(logs)]
    assert sum(len(text) for _, text in sections) == BUDGET
    assert len(sections) < 100


def test_the_end_of_a_log_has_few_and_short_lines(tmp_path):
    log = tmp_path / "minio.log"
    log.write_text("".join(f"{number} {'x' * 500}\n" for number in range(40)))
    lines = read_end(log, 0).splitlines()
    assert [line.split()[0] for line in lines] == [str(number) for number in range(25, 40)]
    assert max(map(len, lines)) == 200
