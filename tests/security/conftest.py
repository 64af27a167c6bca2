"""The running system, as in tests/acceptance, restored before every test."""

from contextlib import closing

import pytest

from tests.acceptance.conftest import restore
from tests.support.system import System


@pytest.fixture
def system(stack):
    """Yield a client of the system."""
    with closing(System(stack)) as system:
        yield system
    restore(stack)
