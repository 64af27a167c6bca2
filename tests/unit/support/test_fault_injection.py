"""The points at which tests kill or freeze a service: each is a function that exists under this name."""

import signal
import subprocess
import sys

import pytest

from devstack.installation import CHECKOUT
from tests.support.fault_injection.crash_points import CRASH_POINTS, CrashPoint, crash_at
from tests.support.fault_injection.decoder import faulty_decoder
from tests.support.fault_injection.launch import inject, service_of

PLACE = "thumbmill.core.contracts.identity:image_id_of"


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_a_crash_point_is_a_function_of_a_service(point):
    holder, name, original = crash_at(point).find()
    assert callable(original)
    assert name in vars(holder), "it would be replaced for other classes too"


def test_the_faulty_worker_replaces_a_command_that_exists():
    _, _, command = faulty_decoder().find()
    assert command == ("-m", "thumbmill.thumbnailer.sandbox.worker")


@pytest.mark.parametrize(("when", "expected"), [("before", ["strike", "call"]), ("after", ["call", "strike"])])
def test_a_point_is_before_or_after_its_function(when, expected):
    steps = []
    patch = CrashPoint(when, PLACE).patch(lambda: steps.append("strike"))
    assert patch.make(lambda: steps.append("call") or 7)() == 7
    assert steps == expected


def test_a_point_may_depend_on_the_arguments():
    steps = []
    function = CrashPoint("after", PLACE, bool).patch(lambda: steps.append("strike")).make(len)
    assert (function([]), steps) == (0, [])
    assert (function([1]), steps) == (1, ["strike"])


def test_a_process_kills_itself_at_its_point():
    program = (
        "from tests.support.fault_injection.crash_points import crash_at\n"
        "from thumbmill.core.object_store.store import Storage\n"
        "Storage.put = lambda *_: print('stored', flush=True)\n"
        "crash_at('after_store').apply()\n"
        "Storage.put(None)\n"
        "print('alive')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, "stored\n")


def test_an_unknown_point_is_refused():
    command = inject(["thumbnailer"], "--crash-at", "nowhere")
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "after_decode" in ended.stderr


def test_a_command_can_be_injected_again_and_restored():
    command = ["/venv/bin/status-tracker", "run"]
    faulty = inject(command, "--faulty-decoder")
    assert service_of(faulty) == service_of(command) == command
    assert inject(faulty, "--crash-at", "after_store") == inject(command, "--crash-at", "after_store")
