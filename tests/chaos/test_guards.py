"""Each guard taken out of a system under drill, by the runs of docs/loss-drill.md.

All of them are twenty minutes, so they are held by ``--guards`` alone; one shows that they can be held.
"""

import re
import shlex
import subprocess
import sys

import pytest

from devstack.installation import CHECKOUT
from tests.support.guarding import cases

QUICK = "--script zombie --without hash"
FATAL = {"lost", "wrong", "stuck", "regressed", "orphaned", "unexpected", "exited"}
SETTLE_SECONDS = 45  # what is healed is by then


def pytest_generate_tests(metafunc):
    every = metafunc.config.getoption("--guards")
    chosen = [case for case in cases() if every or case[0] == QUICK]
    metafunc.parametrize(("arguments", "expected"), chosen, ids=[arguments for arguments, _ in chosen])


@pytest.mark.timeout(900)
def test_a_guard_s_absence_shows(arguments, expected):
    command = [sys.executable, "-m", "chaos", *shlex.split(arguments), "--settle", str(SETTLE_SECONDS)]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=890, check=False)
    counts = {name: int(n) for name, n in re.findall(r"^  ([a-z]+) +(\d+)$", ended.stdout, re.MULTILINE)}
    assert counts, ended.stderr
    assert {name: counts[name] for name in FATAL if counts[name]} == expected, ended.stdout
    assert ended.returncode == bool(expected)
