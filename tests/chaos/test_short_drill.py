"""The short loss drill: every fault once; see docs/loss-drill.md."""

import subprocess
import sys

import pytest

from devstack.installation import CHECKOUT

SEED = 5  # always the same faults in the same order


@pytest.mark.timeout(1500)  # it took eleven minutes with fourteen programs per core
def test_no_fault_loses_an_image(capsys):
    settings = ["--seed", str(SEED), "--rounds", "1", "--minutes", "5", "--clients", "2", "--settle", "400"]
    drill = subprocess.run(
        [sys.executable, "-m", "chaos", *settings], cwd=CHECKOUT, capture_output=True, text=True, check=False
    )
    with capsys.disabled():
        sys.stdout.write(f"\n{drill.stdout}\n")
    assert drill.returncode == 0, (
        f"repeat it with `make drill ARGS='{' '.join(settings)}'`\n{drill.stdout}\n{drill.stderr}"
    )
