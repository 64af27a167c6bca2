from threading import Event

import pytest

from thumbmill.core.errors import DependencyRejected, DependencyUnavailable
from thumbmill.core.service.lifecycle import Startup, TimedProbe, find_unavailable, retry_until_available


class Dependency:
    """Fails with these errors in turn, then succeeds."""

    def __init__(self, *errors):
        self.errors = list(errors)

    def probe(self):
        if self.errors:
            raise self.errors.pop(0)


@pytest.fixture
def no_waiting():
    """An event that ends every wait at once and is never set."""

    class NoWaiting(Event):
        def wait(self, timeout=None):  # noqa: ARG002 - the name that Event's callers use
            return False

    return NoWaiting()


def test_an_unavailable_dependency_is_waited_for(no_waiting):
    dependency = Dependency(*[DependencyUnavailable("minio")] * 5)
    retry_until_available(dependency.probe, no_waiting)
    assert dependency.errors == []


def test_a_dependency_that_rejects_is_not_waited_for(no_waiting):
    dependency = Dependency(
        DependencyUnavailable("minio"), DependencyRejected("minio", "wrong secret"), DependencyUnavailable("minio")
    )
    with pytest.raises(DependencyRejected, match="wrong secret"):
        retry_until_available(dependency.probe, no_waiting)
    assert len(dependency.errors) == 1


def test_stopping_ends_the_wait():
    stop = Event()
    stop.set()
    with pytest.raises(DependencyUnavailable):
        retry_until_available(
            Dependency(DependencyUnavailable("minio"), DependencyUnavailable("minio")).probe, stop
        )


def test_a_server_that_never_responds_is_unavailable_and_probed_once():
    response, probes = Event(), []

    def probe():
        probes.append(1)
        response.wait(30)

    timed = TimedProbe("postgres", probe, seconds=0.05)
    assert timed.check() == timed.check() == "postgres is unavailable: no response in 0.05 s"
    assert len(probes) == 1
    response.set()
    assert TimedProbe("postgres", probe).check() == ""


def test_a_timed_probe_returns_the_error():
    server = Dependency(DependencyUnavailable("minio", "down"), ValueError("odd"))
    timed = TimedProbe("minio", server.probe)
    assert [timed.check() for _ in range(3)] == ["minio is unavailable: down", "odd", ""]


def test_a_starting_service_reports_what_it_waits_for(no_waiting):
    start, reported = Startup(), []
    assert start.unavailable() == {"service": "it is starting"}

    def action():
        reported.append(start.unavailable())
        if len(reported) == 1:
            raise DependencyUnavailable("postgres", "no schema yet")

    retry_until_available(action, no_waiting, start)
    assert reported[1] == {"postgres": "postgres is unavailable: no schema yet"}
    assert start.unavailable() == {"service": "it is starting"}


def test_known_errors_replace_probes():
    probes = {
        "minio": TimedProbe("minio", lambda: None),
        "postgres": TimedProbe("postgres", Dependency(DependencyUnavailable("postgres")).probe),
    }
    errors = find_unavailable({"minio": "minio rejected the request: check the key"}, probes)
    assert errors == {"minio": "minio rejected the request: check the key", "postgres": "postgres is unavailable"}
