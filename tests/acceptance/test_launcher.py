"""`make up` from a checkout of its own: it heeds nothing of the shell that is meant for other systems."""

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

# What a developer's shell may have for other databases and brokers; each of these would keep a client from ours.
STRANGERS = {
    "PGSSLMODE": "require",
    "PGSERVICE": "production",
    "PGOPTIONS": "-c nonsense=1",
    "PGHOSTADDR": "127.9.9.9",
}


class Checkout:
    """A copy of the launcher, whose `.local` is its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.local = directory / ".local"
        self.output = directory / "output"
        shutil.copytree(CHECKOUT / "infra", directory / "infra", ignore=shutil.ignore_patterns("__pycache__"))

    def command(self, name: str) -> list[str]:
        return [sys.executable, str(self.directory / "infra" / "local"), name]

    def run(self, name: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(name),
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
    directory.chmod(0o755)  # the servers' account has to pass
    checkout = Checkout(directory)
    yield checkout
    remove_data(checkout.local)
    shutil.rmtree(directory)


@pytest.fixture
def running(checkout):
    ports = {name: str(port) for name, port in free_ports().items()}
    environment = {**os.environ, **STRANGERS, **ports, "API_KEYS": "first-key-of-this-system,second"}
    with checkout.output.open("wb") as output:
        up = subprocess.Popen(checkout.command("up"), env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until(
            lambda: up.poll() is not None or "Ctrl-C stops" in checkout.printed(), 240, "everything to be up"
        )
        assert up.poll() is None, checkout.printed()
        yield checkout
    finally:
        up.terminate()
        assert up.wait(120) == 0, checkout.printed()


def test_status_and_smoke_speak_to_their_own_checkout_and_a_dead_server_comes_back(running):
    elsewhere = {"PORT_OFFSET": "1000", "GATEWAY_PORT": "1", "API_KEYS": "another system's"}
    smoke = running.run("smoke", **elsewhere, **STRANGERS)
    assert smoke.returncode == 0, smoke.stderr
    assert "thumbnail" in smoke.stdout

    old = running.pid("minio")
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: len(re.findall("minio is ready", running.printed())) == 2, 60, "MinIO to be there again")
    assert "minio ended by itself with signal SIGKILL; starting it again" in running.printed()
    assert running.pid("minio") != old

    status = running.run("status", **elsewhere, **STRANGERS)
    assert status.returncode == 0, status.stdout
    assert running.run("smoke", **elsewhere).returncode == 0


def test_where_nothing_runs_smoke_says_so_and_sends_nothing(checkout, system):
    answer = checkout.run("smoke", GATEWAY_PORT=str(system.ports["GATEWAY_PORT"]))
    assert answer.returncode == 1
    assert f"nothing is running in {checkout.directory}: start it there by `make up`" in answer.stderr


def test_taken_ports_are_named_before_anything_is_installed(checkout, system):
    taken = {name: str(port) for name, port in system.ports.items() if name == "GATEWAY_PORT"}
    empty = checkout.directory / "cache"  # no MinIO there: it would have to be built
    answer = checkout.run("up", **taken, XDG_CACHE_HOME=str(empty))
    assert answer.returncode == 1
    assert f"{taken['GATEWAY_PORT']}  move it with GATEWAY_PORT=" in answer.stderr
    assert not empty.exists()
