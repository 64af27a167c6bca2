"""docs/faults.md names 67 faults, and for each of them tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)
ROWS = ROW.findall((REPOSITORY / "docs" / "faults.md").read_text())
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
DRILL = re.compile(r"`drill: (\w+)`")
BENCH = re.compile(r"`make ([\w-]+)`")
REASONS = ("Does not apply: ", "Later: ")


@cache
def functions(path):
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


@cache
def drill_faults():
    """Return the names of the loss drill's faults, without importing it."""
    for node in ast.parse((REPOSITORY / "chaos" / "faults.py").read_text()).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "FAULTS":
            return {key.value for key in node.value.keys}
    raise AssertionError("the drill has no FAULTS")


def test_every_fault_has_a_row():
    assert [int(number) for number, *_ in ROWS] == list(range(1, 68))


@pytest.mark.parametrize(("number", "by"), [(number, by) for number, _, _, by in ROWS])
def test_every_named_test_exists(number, by):
    tests, faults, benches = TEST.findall(by), DRILL.findall(by), BENCH.findall(by)
    assert len(tests) + len(faults) + len(benches) == by.count("`") / 2, f"{number}: {by}"
    for path, name in tests:
        assert name in functions(REPOSITORY / path), f"{path} has no {name}"
    assert set(faults) <= drill_faults()
    assert all(f"\n{bench}:" in (REPOSITORY / "Makefile").read_text() for bench in benches)
    assert tests or faults or benches or any(reason in by for reason in REASONS), f"{number} is open"
