"""The contestants and their installation; the competitors are installed for this benchmark only."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}  # as in the thumbnailer's decoders, for all contestants
TIMEOUT_SECONDS = 300  # a job takes seconds


class ContestantUnavailableError(Exception):
    """A contestant cannot be installed on this machine; the message says why and what to do."""


@dataclass(frozen=True)
class Contestant:
    """A program that runs the jobs of ``job.py``."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, job: dict[str, object]) -> dict[str, Any]:
        """Run a job in a new process. Raise SystemExit if it fails."""
        result: dict[str, Any] = run_program(self.name, self.command, job, self.environment)
        return result


def run_program(name: str, command: tuple[str, ...], job: object, environment: dict[str, str]) -> Any:
    """Run a program with a job and return its result. Raise SystemExit with its output if it fails."""
    try:
        process = subprocess.run(
            command,
            input=json.dumps(job),
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | LARGE_PAGES | environment,
            timeout=TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise SystemExit(f"{name} has not finished after {TIMEOUT_SECONDS} s; is the machine busy?") from error
    if process.returncode:
        raise SystemExit(f"{name} failed with code {process.returncode}:\n{process.stderr.strip()[-2000:]}")
    return json.loads(process.stdout)


def install_python(base: Path) -> Path:
    """Create the benchmark's virtual environment and return its interpreter."""
    lock, folder = HERE / "requirements.txt", base / "venv"

    def fill() -> None:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        subprocess.run([*pip, "-r", str(lock)], check=True)

    make_once(folder, fingerprint(lock), "installing libvips", fill)
    return folder / "bin" / "python"


def install_sharp(base: Path) -> Contestant:
    """Install sharp from its lock file and return it. Raise ContestantUnavailableError."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        raise ContestantUnavailableError(
            f"skipping sharp: {'npm' if node else 'node'} is not in PATH; install Node.js 20.9 or newer"
        )
    files, folder = [HERE / name for name in ("package.json", "package-lock.json", ".npmrc")], base / "node"

    def fill() -> None:
        folder.mkdir(parents=True)
        for file in files:
            shutil.copy(file, folder)
        command = [npm, "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            subprocess.run(command, cwd=folder, check=True)
        except subprocess.CalledProcessError as error:
            text = f"skipping sharp: `npm ci` failed with code {error.returncode}; run it in {folder} to see why"
            raise ContestantUnavailableError(text) from error

    make_once(folder, fingerprint(*files), "installing sharp", fill)
    environment = {"NODE_PATH": str(folder / "node_modules"), "UV_THREADPOOL_SIZE": "1"}
    return Contestant("sharp", (node, str(HERE / "sharp.js")), environment)


def make_once(folder: Path, made_of: str, description: str, fill: Callable[[], None]) -> None:
    """Fill a folder, unless it was already filled from the same inputs."""
    stamp = folder / ".made-of"
    if stamp.is_file() and stamp.read_text() == made_of:
        return
    print(f"{description} into {folder} (once)", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    fill()
    stamp.write_text(made_of)


def fingerprint(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
