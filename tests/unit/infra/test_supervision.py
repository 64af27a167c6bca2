"""A process that ended is started again; one that keeps ending stops everything, with its name and its log."""

import pytest

from devstack.errors import LaunchError
from devstack.stack import describe_exit
from devstack.supervision import MAX_RESTARTS, supervise


class Dying:
    """Processes of which some are found dead, in this order, and then none."""

    def __init__(self, *deaths, slow=()):
        self.deaths, self.slow, self.revived = list(deaths), slow, []

    def find_exited(self):
        return self.deaths[0] if self.deaths else None

    def exit_code(self, _name):
        return -9

    def log_tail(self, name):
        return f"the end of {name}.log"

    def revive(self, name):
        self.deaths.pop(0)
        self.revived.append(name)
        if name in self.slow:
            raise LaunchError(f"{name} does not answer")


def run(processes):
    lines = []
    supervise(processes, lines.append, describe_exit=describe_exit, is_stopping=lambda: not processes.deaths)
    return lines


def test_whatever_ends_is_started_again_and_said():
    processes = Dying("minio", "rabbitmq")
    first, second = run(processes)
    assert processes.revived == ["minio", "rabbitmq"]
    assert first == "minio ended by itself with signal SIGKILL; starting it again\nthe end of minio.log"
    assert second.startswith("rabbitmq ")


def test_one_that_keeps_ending_stops_everything():
    processes = Dying(*["gateway"] * (MAX_RESTARTS + 1))
    with pytest.raises(
        LaunchError, match=r"gateway ended by itself with signal SIGKILL, for the 4th time[^$]*gateway.log"
    ):
        run(processes)
    assert processes.revived == ["gateway"] * MAX_RESTARTS


def test_deaths_of_several_are_counted_apart():
    processes = Dying(*["gateway", "minio"] * MAX_RESTARTS)
    run(processes)
    assert len(processes.revived) == 2 * MAX_RESTARTS


def test_one_that_is_slow_to_answer_is_named_and_stays():
    assert run(Dying("postgres", slow=["postgres"]))[-1] == "postgres does not answer"
