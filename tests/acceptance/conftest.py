"""The running system, whole again before every test."""

import signal
from contextlib import closing

import pytest

from support.system import System

SERVICES = ("gateway", "thumbnailer", "status-tracker")


@pytest.fixture
def system(stack):
    """Every door of the system; what a test stopped or changed is as it was when the test is over."""
    with closing(System(stack)) as system:
        yield system
    mend(stack)


def mend(stack):
    """Start what does not run or stands still, and wait until everything answers."""
    for name in ("epmd", "postgres", "rabbitmq", "minio", *SERVICES):
        if stack.is_running(name):
            stack.signal(name, signal.SIGCONT)
        else:
            stack.start(name)
    for name in SERVICES:
        stack.wait_ready(name)
