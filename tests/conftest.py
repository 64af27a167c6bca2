"""Shared by all tests: one running system, started when the first test that needs servers asks for it."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadFileScheduling

from devstack.postgres import forget_libpq_variables
from tests.support.dead_letter_queues import EmptyDeadLetterQueues
from tests.support.fault_injection.launch import inject
from tests.support.service_logs import ServiceLogs
from tests.support.stack import run_stack

# Folders whose tests start a system other than that of the other tests.
OWN_STACK = ("tests/integration/gateway", "tests/integration/reconciliation")

# No test may depend on how busy a machine is, or fail by chance without a change. `--hypothesis-profile=search`
# draws new examples.
settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thumbmill", settings.get_profile("search"), derandomize=True)
settings.load_profile("thumbmill")


def pytest_configure():
    """Prevent variables of the caller's shell from leading a test to another database."""
    forget_libpq_variables()


def pytest_addoption(parser):
    parser.addoption(
        "--corpora", choices=["sample", "all"], default="sample", help="public images: a sample (default), or all"
    )
    parser.addoption("--guards", action="store_true", help="take every guard out, and see that a drill shows it")
    parser.addoption("--long", action="store_true", help="also what takes minutes, such as outages of two of them")
    parser.addoption("--mutations", type=int, default=500, help="mutated files to decode (default: 500)")


class FilesByStack(LoadFileScheduling):
    """The distribution of `--dist loadfile`, but files that share a stack of their own stay together."""

    def _split_scope(self, nodeid):
        folder = nodeid.partition("::")[0].rpartition("/")[0]
        return folder if folder in OWN_STACK else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Replace the scheduler of `--dist loadfile`, and no other."""
    return FilesByStack(config, log) if config.getoption("dist") == "loadfile" else None


def pytest_collection_modifyitems(config, items):
    """Run the longest test first, or one worker would run it long after the others have finished."""
    items.sort(key=lambda item: "chaos" not in item.path.parts)
    for item in items if not config.getoption("--long") else []:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="takes minutes: run with --long"))


@pytest.fixture(scope="session")
def stack(request):
    """The whole system on ports and data of its own; a test that breaks it must restore it.

    Images may ask a decoder to fail, and a decoder gets two seconds of CPU time, so that one that
    never ends is stopped soon. The buckets are compared with the rows only at the start, so that a test
    sees what the other parts repair, and no heartbeat is among the messages that a test counts.
    """
    rarely = {"RECONCILE_INTERVAL_SECONDS": "86400", "HEARTBEAT_INTERVAL_SECONDS": "86400"}
    with run_stack(prepare=have_faulty_decoders, DECODE_TIMEOUT_SECONDS="2", **rarely) as running:
        request.config.pluginmanager.register(ServiceLogs(running))
        request.config.pluginmanager.register(EmptyDeadLetterQueues(running))
        yield running


def have_faulty_decoders(stack):
    row = stack.table["thumbnailer"]
    stack.table["thumbnailer"] = replace(row, command=inject(row.command, "--faulty-decoder"))
