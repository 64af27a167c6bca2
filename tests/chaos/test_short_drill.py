"""The short drill: every fault once, on a system of its own; see docs/loss-drill.md."""

import subprocess
import sys

import pytest

from devstack.installation import CHECKOUT

SEED = 5  # always the same faults in the same order; `make drill` draws a new one


@pytest.mark.timeout(1500)  # eleven minutes were seen, with fourteen programs to a core
def test_nothing_is_lost_whatever_fault_comes(capsys):
    settings = ["--seed", str(SEED), "--rounds", "1", "--minutes", "5", "--clients", "2", "--settle", "400"]
    drill = subprocess.run(
        [sys.executable, "-m", "chaos", *settings], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    with capsys.disabled():
        sys.stdout.write(f"\n{drill.stdout}\n")
    assert drill.returncode == 0, (
        f"repeat it with `make drill ARGS='{' '.join(settings)}'`\n{drill.stdout}\n{drill.stderr}"
    )
