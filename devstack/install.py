"""Installs what the system needs: Debian packages, the MinIO server, and the virtual environment."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from devstack.errors import LaunchError
from devstack.installation import CHECKOUT
from devstack.minio_build import build_minio
from devstack.postgres import find_postgres
from devstack.rabbitmq import find_rabbitmq

VENV = CHECKOUT / ".venv"
PACKAGES = ("core", "gateway", "thumbnailer", "status-tracker", "cli")


def install_servers(log: Callable[[str], None]) -> None:
    """Install RabbitMQ, PostgreSQL and MinIO if they are missing. Raise LaunchError."""
    require_linux()
    missing = {"rabbitmq-server": find_rabbitmq() is None, "postgresql": find_postgres() is None}
    _install_packages([package for package, is_missing in missing.items() if is_missing], log)
    build_minio(log)


def install_browser(log: Callable[[str], None]) -> None:
    """Install Debian's Chromium for the tests of the web console if it is missing. Raise LaunchError."""
    _install_packages([] if shutil.which("chromium") else ["chromium"], log)


def make_environment(log: Callable[[str], None]) -> None:
    """Create the virtual environment from the locked requirements, with our packages installed as editable."""
    require_linux()
    if subprocess.run(
        [sys.executable, "-c", "import ensurepip, venv"], check=False, capture_output=True
    ).returncode:
        _install_packages([f"python{sys.version_info.major}.{sys.version_info.minor}-venv"], log)
    lock = CHECKOUT / "requirements" / "dev.txt"
    python = VENV / "bin" / "python"
    log(f"installing the packages of {lock.relative_to(CHECKOUT)} into {VENV.relative_to(CHECKOUT)}")
    is_new = not _has_pip(python)
    if is_new:
        _run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install"]
    # The first run takes a minute; later ones would only print "already satisfied".
    quiet = [] if is_new else ["--quiet"]
    _run([*pip, *quiet, "--require-hashes", "--requirement", str(lock)])
    ours = [part for package in PACKAGES for part in ("--editable", str(CHECKOUT / package))]
    _run([*pip, "--quiet", "--no-deps", "--no-build-isolation", *ours])


def require_linux() -> None:
    """Raise LaunchError if this machine is not supported."""
    if not sys.platform.startswith("linux"):
        raise LaunchError("devstack runs on Linux only: on this machine use `docker compose up --build`")
    if not shutil.which("setpriv"):
        raise LaunchError("setpriv is missing: install the package util-linux")


def _install_packages(packages: list[str], log: Callable[[str], None]) -> None:
    if not packages:
        return
    command = ["sh", str(Path(__file__).with_name("apt-install.sh")), *packages]
    if not shutil.which("apt-get"):
        raise LaunchError(
            f"missing: {', '.join(packages)}. There is no apt-get: install them with your package manager"
        )
    if os.geteuid() != 0:
        if not shutil.which("sudo"):
            raise LaunchError(f"missing: {', '.join(packages)}. There is no sudo. Run as root: {' '.join(command)}")
        command = ["sudo", *command]
    log(f"installing the Debian packages {', '.join(packages)}, without starting any system service")
    log(f"running: {' '.join(command)}")
    _run(command)


def _has_pip(python: Path) -> bool:
    return (
        python.exists()
        and subprocess.run([python, "-m", "pip", "--version"], check=False, capture_output=True).returncode == 0
    )


def _run(command: list[str]) -> None:
    code = subprocess.run(command, check=False, stdin=None).returncode
    if code != 0:
        raise LaunchError(f"this command failed with exit code {code}: {' '.join(command)}")
