"""The running system, restored before every test."""

import signal
from contextlib import closing

import pytest

from tests.support.system import System

SERVICES = ("gateway", "thumbnailer", "status-tracker")


@pytest.fixture
def system(stack):
    """Yield a client of the system; what a test stopped or changed is restored when the test is over."""
    with closing(System(stack)) as system:
        yield system
    restore(stack)


@pytest.fixture(scope="session", autouse=True)
def start_slow_fixtures(request):
    """Start what takes a minute at once, if any test will need it."""
    if any("lapsed_ticket" in item.fixturenames for item in request.session.items):
        request.getfixturevalue("lapsed_ticket")


@pytest.fixture(scope="session")
def lapsed_ticket(stack):
    """Return a ticket whose form can be used for a second, and a minute later counts as expired."""
    with closing(System(stack)) as system, system.restarted("gateway", TICKET_LIFETIME_SECONDS="1"):
        return system.ticket()


def restore(stack):
    """Start stopped processes, resume frozen ones, and wait until all are ready."""
    for name in ("epmd", "postgres", "rabbitmq", "minio", *SERVICES):
        if stack.is_running(name):
            stack.signal(name, signal.SIGCONT)
        else:
            stack.start(name)
    for name in SERVICES:
        stack.wait_ready(name)
