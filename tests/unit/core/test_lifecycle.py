from threading import Event

import pytest

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.service.lifecycle import Startup, TimedProbe, find_unavailable, retry_until_available


class Dependency:
    """Answers a few times with a fault, then well."""

    def __init__(self, *faults):
        self.faults = list(faults)

    def ask(self):
        if self.faults:
            raise self.faults.pop(0)


@pytest.fixture
def patient():
    """An event that ends every wait at once and is never set."""

    class Impatient(Event):
        def wait(self, timeout=None):  # noqa: ARG002 - the name that Event's callers use
            return False

    return Impatient()


def test_what_is_away_is_waited_for(patient):
    dependency = Dependency(*[DependencyUnavailable("minio")] * 5)
    retry_until_available(dependency.ask, patient)
    assert dependency.faults == []


def test_what_refuses_is_not_waited_for(patient):
    dependency = Dependency(
        DependencyUnavailable("minio"), DependencyRejected("minio", "wrong secret"), DependencyUnavailable("minio")
    )
    with pytest.raises(DependencyRejected, match="wrong secret"):
        retry_until_available(dependency.ask, patient)
    assert len(dependency.faults) == 1


def test_a_stop_ends_the_wait():
    stop = Event()
    stop.set()
    with pytest.raises(DependencyUnavailable):
        retry_until_available(Dependency(DependencyUnavailable("minio"), DependencyUnavailable("minio")).ask, stop)


def test_a_server_that_never_answers_is_away_and_is_not_asked_again_meanwhile():
    answer, asked = Event(), []

    def ping():
        asked.append(1)
        answer.wait(30)

    patience = TimedProbe("postgres", ping, seconds=0.05)
    assert patience.check() == patience.check() == "postgres is unavailable: no answer in 0.05 s"
    assert len(asked) == 1
    answer.set()
    assert TimedProbe("postgres", ping).check() == ""


def test_what_a_ping_says_is_told():
    server = Dependency(DependencyUnavailable("minio", "gone"), ValueError("odd"))
    patience = TimedProbe("minio", server.ask)
    assert [patience.check() for _ in range(3)] == ["minio is unavailable: gone", "odd", ""]


def test_until_it_has_started_a_service_blames_what_it_waits_for(patient):
    start, told = Startup(), []
    assert start.unavailable() == {"service": "it is starting"}

    def ask():
        told.append(start.unavailable())
        if len(told) == 1:
            raise DependencyUnavailable("postgres", "no schema yet")

    retry_until_available(ask, patient, start)
    assert told[1] == {"postgres": "postgres is unavailable: no schema yet"}
    assert start.unavailable() == {"service": "it is starting"}


def test_a_dependency_that_stops_the_service_is_blamed_in_the_services_own_words():
    pings = {
        "minio": TimedProbe("minio", lambda: None),
        "postgres": TimedProbe("postgres", Dependency(DependencyUnavailable("postgres")).ask),
    }
    faults = find_unavailable({"minio": "minio rejected the request: check the key"}, pings)
    assert faults == {"minio": "minio rejected the request: check the key", "postgres": "postgres is unavailable"}
