"""What all tests share: one running system for those that need servers, started when the first of them asks."""

import pytest

from support.stack import run_stack


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the slow tests too")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: run with --slow"))


@pytest.fixture(scope="session")
def stack():
    """The whole system on ports and data of its own; whoever breaks it mends it.

    Pictures may ask a decoder to fail, and a decoder gets two seconds, so that one that hangs is soon given up.
    """
    with run_stack(DECODER_FAULTS="on", DECODE_TIMEOUT_SECONDS="2") as running:
        yield running
