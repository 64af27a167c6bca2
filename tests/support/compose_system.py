"""The containers of compose.yaml under a project name of their own, on free ports, driven by `docker compose`."""

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from devstack.ports import free_ports
from tests.support.compose_files import CHECKOUT
from tests.support.waiting import wait_until

_START_SECONDS = 300
_DOCKER = "docker"
_ADVICE = "make test-compose needs a Docker engine, and Compose 2.24.4 or newer"


@dataclass(frozen=True)
class ComposeSystem:
    """One project of Compose: its name, files, variables and ports."""

    project: str
    files: tuple[str, ...]
    variables: Mapping[str, str]
    ports: Mapping[str, int] = field(default_factory=free_ports)

    def run(self, *arguments: str, progress: str = "quiet") -> str:
        """Run `docker compose ARGUMENTS`, its progress (if wanted) on the terminal, and return its output."""
        files = [argument for name in self.files for argument in ("--file", str(CHECKOUT / name))]
        command = [
            _DOCKER,
            "compose",
            "--env-file",
            "/dev/null",
            "--progress",
            progress,
            "--project-name",
            self.project,
            *files,
            *arguments,
        ]
        ended = subprocess.run(command, env=self._environment(), stdout=subprocess.PIPE, text=True, check=False)
        assert ended.returncode == 0, f"docker compose {' '.join(arguments)}: {ended.returncode}\n{ended.stdout}"
        return ended.stdout

    def containers(self) -> dict[str, Any]:
        """Return the output of `docker inspect` for each service's container."""
        ids = self.run("ps", "--all", "--quiet").split()
        inspected = ask_docker("inspect", *ids)
        return {
            found["Config"]["Labels"]["com.docker.compose.service"]: found for found in json.loads(inspected.stdout)
        }

    def wait_healthy(self) -> None:
        """Wait until every container with a health check is healthy."""
        wait_until(lambda: not self._unhealthy(), _START_SECONDS, "every container to be healthy")

    def _unhealthy(self) -> list[str]:
        states = {name: found["State"] for name, found in self.containers().items()}
        return [
            name
            for name, state in states.items()
            if state.get("Health", {"Status": "healthy"})["Status"] != "healthy"
        ]

    def _environment(self) -> dict[str, str]:
        """Return the caller's environment without the variables that the files read, except ``*_IMAGE``."""
        text = "".join((CHECKOUT / name).read_text() for name in self.files)
        read = {name for name in re.findall(r"\$\{(\w+)", text) if not name.endswith("_IMAGE")}
        kept = {
            name: value for name, value in os.environ.items() if name not in read and name != "COMPOSE_PROFILES"
        }
        return kept | {name: str(port) for name, port in self.ports.items()} | dict(self.variables)


@contextmanager
def run_compose(name: str, *files: str, **variables: str) -> Iterator[ComposeSystem]:
    """Build and start a system, and yield it when its probes succeed. Always remove it with its volumes."""
    require_compose()
    ports = free_ports()
    filled = {variable: value.format(**ports) for variable, value in variables.items()}
    system = ComposeSystem(f"thumbmill-{name}-{os.getpid()}", files, filled, ports)
    try:
        system.run("up", "--build", "--wait", "--wait-timeout", str(_START_SECONDS), progress="plain")
        yield system
    except BaseException:
        print(system.run("ps", "--all"), system.run("logs", "--tail", "40"))  # noqa: T201 (pytest shows it)
        raise
    finally:
        system.run("down", "--volumes", "--rmi", "local", "--remove-orphans", "--timeout", "40")


def require_compose() -> None:
    """Fail with advice if there is no engine. This suite runs only on request, so it must not be skipped."""
    try:
        for question in (["compose", "version"], ["info"]):
            answer = ask_docker(*question)
            assert answer.returncode == 0, f"{_ADVICE}; docker {' '.join(question)}: {answer.stderr}"
    except FileNotFoundError:
        raise AssertionError(f"{_ADVICE}; there is no program `docker`") from None


def ask_docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `docker ARGUMENTS`, without the project's variables, and return its answer."""
    return subprocess.run([_DOCKER, *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False)
