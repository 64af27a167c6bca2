"""The contestants, and where they come from: the rivals are installed for this benchmark alone."""

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
LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}  # as decoders have them, so all contestants do
LONGEST_SECONDS = 300  # for what takes seconds


class AbsentError(Exception):
    """A contestant that can't be had on this machine; the text says why and what to do."""


@dataclass(frozen=True)
class Contestant:
    """A program that takes the jobs of ``contest.py``."""

    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, job: dict[str, object]) -> dict[str, Any]:
        """Have a job done by a fresh process. Raises SystemExit when it fails."""
        answer: dict[str, Any] = ask(self.name, self.command, job, self.environment)
        return answer


def ask(name: str, command: tuple[str, ...], job: object, environment: dict[str, str]) -> Any:
    """Give a program its job and take its answer. Raises SystemExit with what it said when it fails."""
    try:
        done = subprocess.run(
            command,
            input=json.dumps(job),
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | LARGE_PAGES | environment,
            timeout=LONGEST_SECONDS,
        )
    except subprocess.TimeoutExpired as fault:
        raise SystemExit(f"{name} was not done after {LONGEST_SECONDS} s; is the machine busy?") from fault
    if done.returncode:
        raise SystemExit(f"{name} failed with code {done.returncode}:\n{done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout)


def install_python(base: Path) -> Path:
    """Make the benchmark's own virtual environment; give its interpreter."""
    lock, folder = HERE / "requirements.txt", base / "venv"

    def fill() -> None:
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
        subprocess.run([*pip, "-r", str(lock)], check=True)

    make_once(folder, fingerprint(lock), "installing libvips", fill)
    return folder / "bin" / "python"


def install_sharp(base: Path) -> Contestant:
    """Give sharp, installed as its lock says. Raises AbsentError."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        raise AbsentError(
            f"sharp is left out: no {'npm' if node else 'node'} in PATH; install Node.js 20.9 or newer"
        )
    files, folder = [HERE / name for name in ("package.json", "package-lock.json", ".npmrc")], base / "node"

    def fill() -> None:
        folder.mkdir(parents=True)
        for file in files:
            shutil.copy(file, folder)
        command = [npm, "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            subprocess.run(command, cwd=folder, check=True)
        except subprocess.CalledProcessError as fault:
            text = f"sharp is left out: `npm ci` failed with code {fault.returncode}; run it in {folder} to see why"
            raise AbsentError(text) from fault

    make_once(folder, fingerprint(*files), "installing sharp", fill)
    environment = {"NODE_PATH": str(folder / "node_modules"), "UV_THREADPOOL_SIZE": "1"}
    return Contestant("sharp", (node, str(HERE / "sharp.js")), environment)


def make_once(folder: Path, made_of: str, what: str, fill: Callable[[], None]) -> None:
    """Fill a folder anew, unless it was made of the very same before."""
    stamp = folder / ".made-of"
    if stamp.is_file() and stamp.read_text() == made_of:
        return
    print(f"{what} into {folder} (once)", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    fill()
    stamp.write_text(made_of)


def fingerprint(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
