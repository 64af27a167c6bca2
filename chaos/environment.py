"""The system under test: its processes behind proxies, its disks, and the end of all faults."""

import random
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pika

from chaos.proxy import Proxy
from chaos.tmpfs import Disk
from devstack.rabbitmq import rabbitmqctl
from devstack.stack import Stack, describe_exit
from thumbmill.cli.drill.clients import Access
from thumbmill.cli.drill.history import History
from thumbmill.core.object_store.store import Storage
from thumbmill.core.settings import StoreSettings

SERVICES = ("gateway", "thumbnailer", "status-tracker")
SERVERS = ("minio", "rabbitmq", "postgres")
_PORTS = {"minio": "MINIO_PORT", "rabbitmq": "RABBITMQ_PORT", "postgres": "POSTGRES_PORT"}
_LINKS = {"gateway": SERVERS, "thumbnailer": ("minio", "rabbitmq"), "status-tracker": SERVERS}


@dataclass
class Environment:
    """The system, the links between its parts, and the random number generator of the faults."""

    stack: Stack
    rng: random.Random
    log: Callable[[str], None]
    stop: threading.Event
    links: dict[tuple[str, str], Proxy] = field(default_factory=dict)  # by service and server
    disks: dict[str, Disk] = field(default_factory=dict)  # by their content
    unexpected_exits: list[str] = field(default_factory=list)
    history: History = field(default_factory=History)  # of all clients

    def wait(self, low: float, high: float) -> None:
        """Wait a random time, but not longer than the drill."""
        self.stop.wait(self.rng.uniform(low, high))

    def start(self, name: str) -> None:
        """Start a process behind its proxies, without waiting until it is ready."""
        self.stack.start(name, wait=False, **self.proxied_settings(name))

    def proxied_settings(self, name: str) -> dict[str, str]:
        """Return the settings that route a service's links through their proxies."""
        variables = self.stack.table[name].environment
        found: dict[str, str] = {}
        for (service, server), proxy in self.links.items():
            if service != name:
                continue
            if server == "minio":
                found["MINIO_URL"] = f"http://127.0.0.1:{proxy.port}"
            elif server == "rabbitmq":
                found["RABBITMQ_PORT"] = str(proxy.port)
            else:
                found["DATABASE_URL"] = variables["DATABASE_URL"].replace(f":{proxy.target}/", f":{proxy.port}/")
        return found

    @property
    def access(self) -> Access:
        """The addresses and the administrator's credentials for the clients."""
        return Access(f"http://127.0.0.1:{self.stack.installation.ports['GATEWAY_PORT']}", self.open_store())

    def open_store(self) -> Storage:
        """Return a client of MinIO as root, without retries."""
        secrets, ports = self.stack.installation.secrets, self.stack.installation.ports
        settings = {
            "minio_url": f"http://127.0.0.1:{ports['MINIO_PORT']}",
            "minio_access_key": secrets["MINIO_ROOT_USER"],
            "minio_secret_key": secrets["MINIO_ROOT_PASSWORD"],
        }
        return Storage(StoreSettings.model_validate(settings), retries=0)

    @property
    def administrator(self) -> pika.ConnectionParameters:
        return self.connection_parameters("admin")

    def connection_parameters(self, user: str) -> pika.ConnectionParameters:
        """Return the parameters of a RabbitMQ connection as this user."""
        name = "RABBITMQ_ADMIN" if user == "admin" else f"{user.upper().replace('-', '_')}_RABBITMQ"
        credentials = pika.PlainCredentials(user, self.stack.installation.secrets[f"{name}_PASSWORD"])
        port = self.stack.installation.ports["RABBITMQ_PORT"]
        return pika.ConnectionParameters("127.0.0.1", port, credentials=credentials)

    def rabbitmqctl(self, *arguments: str) -> None:
        """Run a rabbitmqctl command on the broker."""
        rabbitmqctl(self.stack.table["rabbitmq"], *arguments)

    def record_exits(self) -> None:
        """Record each process that exited although no fault killed it, and restart it, as a supervisor would."""
        while name := self.stack.find_exited():
            exit_code = describe_exit(self.stack.exit_code(name) or 0)
            self.log(f"{name} exited unexpectedly with {exit_code}:\n{self.stack.log_tail(name)}")
            self.unexpected_exits.append(f"{name} exited unexpectedly with {exit_code}")
            self.start(name)

    def restore(self) -> None:
        """End every fault: resume or start all processes, let all links pass, free all disks."""
        for proxy in self.links.values():
            proxy.mode = "pass"
        for disk in self.disks.values():
            disk.free()
        self.record_exits()
        for name in (*SERVERS, *SERVICES):
            if self.stack.is_running(name):
                self.stack.signal(name, signal.SIGCONT)
            else:
                self.start(name)
        for name in (*SERVERS, *SERVICES):
            self.stack.wait_ready(name)

    def route_through_proxies(self) -> None:
        """Put a proxy into every link of a service, and restart the services behind them."""
        for service, servers in _LINKS.items():
            for server in servers:
                self.links[service, server] = Proxy(self.stack.installation.ports[_PORTS[server]]).start()
        for service in _LINKS:
            self.stack.stop(service)
            self.start(service)
        for service in _LINKS:
            self.stack.wait_ready(service)
