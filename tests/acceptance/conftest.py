"""The running system, whole again before every test."""

import pytest

from support.system import System

SERVICES = ("gateway", "thumbnailer", "status-tracker")


@pytest.fixture
def system(stack):
    """Every door of the system; what a test stopped or changed is as it was when the test is over."""
    yield System(stack)
    mend(stack)


def mend(stack):
    """Start what does not run."""
    for name in ("epmd", "postgres", "rabbitmq", "minio", *SERVICES):
        if not stack.is_running(name):
            stack.start(name)
