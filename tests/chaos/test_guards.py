"""Loss drills without each of the guards, as listed in docs/loss-drill.md.

All of them take twenty minutes, so they run only with ``--guards``; one of them always runs.
"""

import re
import shlex
import subprocess
import sys

import pytest

from devstack.installation import CHECKOUT
from tests.support.ablation_cases import cases

QUICK = "--scenario zombie --without hash"
FATAL = {"lost", "wrong", "stuck", "regressed", "unannounced", "orphaned", "unexpected", "doubled", "exited"}
SETTLE_SECONDS = 45  # long enough for every repair


def pytest_generate_tests(metafunc):
    every = metafunc.config.getoption("--guards")
    chosen = [case for case in cases() if every or case[0] == QUICK]
    metafunc.parametrize(("arguments", "expected"), chosen, ids=[arguments for arguments, _ in chosen])


@pytest.mark.timeout(900)
def test_a_drill_without_a_guard_has_the_documented_counts(arguments, expected):
    command = [sys.executable, "-m", "chaos", *shlex.split(arguments), "--settle", str(SETTLE_SECONDS)]
    process = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=890, check=False)
    counts = {name: int(n) for name, n in re.findall(r"^  ([a-z]+) +(\d+)$", process.stdout, re.MULTILINE)}
    assert counts, process.stderr
    assert {name: counts[name] for name in FATAL if counts[name]} == expected, process.stdout
    assert process.returncode == bool(expected)
