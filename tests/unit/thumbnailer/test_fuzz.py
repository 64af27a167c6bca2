"""The JPEG decoder with UndefinedBehaviorSanitizer and guard pages: `make fuzz`, for a short time."""

import subprocess
import sys
from pathlib import Path

import pytest

FUZZER = Path(__file__).parents[3] / "thumbnailer" / "fuzz" / "dc_only.py"


@pytest.mark.long
def test_mutated_jpegs_cause_no_finding(tmp_path):
    command = [sys.executable, FUZZER, "--seconds", "30", "--input", tmp_path / "input.jpg"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "without a finding" in done.stdout
