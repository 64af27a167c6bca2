"""The program `thumbmill` as an operator uses it with a running system."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from tests.support.fault_injection.launch import inject
from tests.support.system import System

PROGRAM = str(Path(sys.executable).parent / "thumbmill")
NAME = "ada"


def start(
    system: System, *arguments: str, crash_at: str | None = None, **environment: str
) -> subprocess.Popen[str]:
    """Start it with nothing but the file that `up` writes; ``crash_at`` names a crash point."""
    prefixes = ("RABBITMQ_", "THUMBMILL_", "LOG_")
    command = [PROGRAM, *arguments]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    settings = {"THUMBMILL_ENV_FILE": str(system.stack.installation.operator_file), "THUMBMILL_OPERATOR": NAME}
    return subprocess.Popen(
        inject(command, "--crash-at", crash_at) if crash_at else command,
        env={**inherited, **settings, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def thumbmill(system: System, *arguments: str, code: int = 0, seconds: float = 60, **options: str) -> str:
    """Run it to its end and check its exit code; return its output."""
    with start(system, *arguments, **options) as program:
        out, err = program.communicate(timeout=seconds)
    assert program.returncode == code, f"{arguments}: {program.returncode}\n{out}{err}"
    return out + err


def dead_letters(system: System, *arguments: str) -> list[dict[str, object]]:
    """Return the output of `list --json`."""
    listed: list[dict[str, object]] = json.loads(thumbmill(system, "dead", "list", "--json", *arguments))
    return listed


@contextmanager
def running(system: System, *arguments: str, **environment: str):
    """Run it in the background for a while."""
    with start(system, *arguments, **environment) as program:
        try:
            yield program
        finally:
            program.kill()
            program.communicate()
