"""A process that exits is restarted; one that keeps exiting stops everything, with its name and log."""

import pytest

from devstack.errors import LaunchError
from devstack.stack import describe_exit
from devstack.supervision import MAX_RESTARTS, supervise


class ExitingProcesses:
    """Processes that exit in the given order."""

    def __init__(self, *exits, slow=()):
        self.exits, self.slow, self.revived = list(exits), slow, []

    def find_exited(self):
        return self.exits[0] if self.exits else None

    def exit_code(self, _name):
        return -9

    def log_tail(self, name):
        return f"last lines of {name}.log"

    def revive(self, name):
        self.exits.pop(0)
        self.revived.append(name)
        if name in self.slow:
            raise LaunchError(f"{name} is not ready")


def run(processes):
    lines = []
    supervise(processes, lines.append, describe_exit=describe_exit, is_stopping=lambda: not processes.exits)
    return lines


def test_a_process_that_exits_is_restarted_and_logged():
    processes = ExitingProcesses("minio", "rabbitmq")
    first, second = run(processes)
    assert processes.revived == ["minio", "rabbitmq"]
    assert first == "minio exited unexpectedly with signal SIGKILL; restarting it\nlast lines of minio.log"
    assert second.startswith("rabbitmq ")


def test_a_process_that_keeps_exiting_stops_everything():
    processes = ExitingProcesses(*["gateway"] * (MAX_RESTARTS + 1))
    with pytest.raises(
        LaunchError, match=r"gateway exited unexpectedly with signal SIGKILL, for the 4th time[^$]*gateway.log"
    ):
        run(processes)
    assert processes.revived == ["gateway"] * MAX_RESTARTS


def test_exits_are_counted_for_each_process():
    processes = ExitingProcesses(*["gateway", "minio"] * MAX_RESTARTS)
    run(processes)
    assert len(processes.revived) == 2 * MAX_RESTARTS


def test_a_slow_process_is_logged_and_stays():
    assert run(ExitingProcesses("postgres", slow=["postgres"]))[-1] == "postgres is not ready"
