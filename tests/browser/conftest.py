"""One browser for the tests of a file, and the console of the running system in a new profile for each test."""

from contextlib import closing, contextmanager

import pytest

from tests.support.browser import Console, run_browser
from tests.support.system import System


@pytest.fixture(scope="module")
def browser():
    """Yield a browser. Its event loop runs until the end of the file: until then, no test can run another one."""
    with run_browser() as running:
        yield running


@pytest.fixture
def system(stack):
    with closing(System(stack)) as system:
        yield system


@pytest.fixture
def new_console(browser, stack):
    """Return a context manager that opens a console, with options for its browser context."""

    @contextmanager
    def opened(**options):
        with closing(Console(browser, stack.endpoints.gateway, **options)) as console:
            yield console

    return opened


@pytest.fixture
def console(new_console):
    with new_console() as console:
        yield console
