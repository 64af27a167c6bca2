"""What the services and servers logged during a failed test, for its report: a CI machine keeps no other trace."""

import pytest

from devstack.stack import Stack

# CI logs are cut at some 30,000 characters: two workers that spend all of this leave room for the failures.
BUDGET = 9_000  # characters of each worker
_LINES = 15  # of each log
_WIDTH = 200  # characters of a line
_NAMES = ("gateway", "thumbnailer", "status-tracker", "minio", "rabbitmq")


class ServiceLogs:
    """A pytest plugin that adds the ends of a stack's logs to the reports of failed tests."""

    def __init__(self, stack: Stack) -> None:
        self._paths = {name: stack.log_path(name) for name in _NAMES}
        self._sizes: dict[str, int] = {}
        self._left = BUDGET

    def pytest_runtest_setup(self):
        """Remember where the logs of this test begin."""
        self._sizes = {name: path.stat().st_size for name, path in self._paths.items() if path.exists()}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item):
        """Add what was logged since then to the report of a failed test that uses the stack."""
        report = yield
        if report.failed and "stack" in item.fixturenames:
            for name, path in self._paths.items():
                text = read_end(path, self._sizes.get(name, 0))[: self._left]
                self._left -= len(text)
                if text:
                    report.sections.append((f"log of {name} during this test", text))
        return report


def read_end(path, start):
    """Return the last lines of a log behind a position, each cut to a width; nothing if there is no log."""
    if not path.exists():
        return ""
    with path.open(encoding="utf-8", errors="replace") as log:
        log.seek(start)
        lines = log.read().splitlines()
    return "\n".join(line[:_WIDTH] for line in lines[-_LINES:])
