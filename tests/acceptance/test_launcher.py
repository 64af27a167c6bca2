"""`make up` in its own checkout: it ignores variables of the shell that are meant for other systems."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from devstack.account import remove_data
from devstack.installation import CHECKOUT
from devstack.ports import free_ports
from tests.support.waiting import wait_until

# A developer's shell may contain these for another database; each of them would break connections to this one.
FOREIGN_VARIABLES = {
    "PGSSLMODE": "require",
    "PGSERVICE": "production",
    "PGOPTIONS": "-c nonsense=1",
    "PGHOSTADDR": "127.9.9.9",
}


class Checkout:
    """A copy of the launcher with its own `.local`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.local = directory / ".local"
        self.output = directory / "output"
        for package in ("devstack", "infra"):
            shutil.copytree(CHECKOUT / package, directory / package, ignore=shutil.ignore_patterns("__pycache__"))

    def command(self, name: str) -> list[str]:
        return [sys.executable, "-m", "devstack", name]

    def run(self, name: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(name),
            cwd=self.directory,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def pid(self, name: str) -> int:
        return json.loads((self.local / "run" / f"{name}.pid").read_text())["pid"]

    def printed(self) -> str:
        return self.output.read_text()


@pytest.fixture
def checkout():
    directory = Path(tempfile.mkdtemp(prefix="thumbmill-checkout-", dir="/var/tmp"))
    directory.chmod(0o755)  # the servers' account has to enter it
    checkout = Checkout(directory)
    yield checkout
    remove_data(checkout.local)
    shutil.rmtree(directory)


@pytest.fixture
def running(checkout):
    ports = {name: str(port) for name, port in free_ports().items()}
    environment = {**os.environ, **FOREIGN_VARIABLES, **ports, "API_KEYS": "first-key-of-this-system,second"}
    with checkout.output.open("wb") as output:
        up = subprocess.Popen(
            checkout.command("up"),
            cwd=checkout.directory,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(
            lambda: up.poll() is not None or "press Ctrl-C to stop" in checkout.printed(),
            240,
            "all processes to be ready",
        )
        assert up.poll() is None, checkout.printed()
        yield checkout
    finally:
        up.terminate()
        assert up.wait(120) == 0, checkout.printed()


def test_status_and_smoke_use_their_own_checkout_and_a_killed_server_is_restarted(running):
    elsewhere = {"PORT_OFFSET": "1000", "GATEWAY_PORT": "1", "API_KEYS": "another system's"}
    smoke = running.run("smoke", **elsewhere, **FOREIGN_VARIABLES)
    assert smoke.returncode == 0, smoke.stderr
    assert "thumbnail" in smoke.stdout

    old = running.pid("minio")
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: len(re.findall("minio is ready", running.printed())) == 2, 60, "MinIO to be ready again")
    assert "minio exited unexpectedly with signal SIGKILL; restarting it" in running.printed()
    assert running.pid("minio") != old

    status = running.run("status", **elsewhere, **FOREIGN_VARIABLES)
    assert status.returncode == 0, status.stdout
    [password] = re.findall("RabbitMQ UI .* admin / (.+)", status.stdout)
    assert f"admin / {password}\n" in running.printed()
    assert running.run("smoke", **elsewhere).returncode == 0


def test_smoke_fails_if_its_checkout_is_not_running(checkout, system):
    result = checkout.run("smoke", GATEWAY_PORT=str(system.ports["GATEWAY_PORT"]))
    assert result.returncode == 1
    assert f"the system in {checkout.directory} is not running: start it there with `make up`" in result.stderr


def test_ports_in_use_are_reported_before_anything_is_installed(checkout, system):
    taken = {name: str(port) for name, port in system.ports.items() if name == "GATEWAY_PORT"}
    empty = checkout.directory / "cache"  # without MinIO: it would have to be built
    result = checkout.run("up", **taken, XDG_CACHE_HOME=str(empty))
    assert result.returncode == 1
    assert f"{taken['GATEWAY_PORT']}  set GATEWAY_PORT to another port" in result.stderr
    assert not empty.exists()
