"""The running system, as in tests/acceptance: what an attack broke is whole again before the next test."""

from contextlib import closing

import pytest

from tests.acceptance.conftest import mend
from tests.support.system import System


@pytest.fixture
def system(stack):
    """Every door of the system."""
    with closing(System(stack)) as system:
        yield system
    mend(stack)
