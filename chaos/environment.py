"""The system under drill: its processes behind proxies, its disks, and how all of it is put right again."""

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
_KNOWN = {"gateway": SERVERS, "thumbnailer": ("minio", "rabbitmq"), "status-tracker": SERVERS}


@dataclass
class Scene:
    """The system, the links between its parts, and the rng that decides."""

    stack: Stack
    rng: random.Random
    say: Callable[[str], None]
    stop: threading.Event
    links: dict[tuple[str, str], Proxy] = field(default_factory=dict)  # by service and server
    disks: dict[str, Disk] = field(default_factory=dict)  # by what is kept there
    ended: list[str] = field(default_factory=list)  # what ended though nobody had asked for it
    history: History = field(default_factory=History)  # what all clients have sent

    def wait(self, low: float, high: float) -> None:
        """Let time pass, but no longer than until the drill ends."""
        self.stop.wait(self.rng.uniform(low, high))

    def start(self, name: str) -> None:
        """Start a process again, behind its proxies."""
        self.stack.start(name, wait=False, **self.environment(name))

    def environment(self, name: str) -> dict[str, str]:
        """Give a service's settings with its links led through their proxies."""
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
        """Where the system is, and that everything may be done there."""
        secrets, ports = self.stack.installation.secrets, self.stack.installation.ports
        login = {
            "minio_access_key": secrets["MINIO_ROOT_USER"],
            "minio_secret_key": secrets["MINIO_ROOT_PASSWORD"],
        }
        store = StoreSettings.model_validate({"minio_url": f"http://127.0.0.1:{ports['MINIO_PORT']}", **login})
        return Access(f"http://127.0.0.1:{ports['GATEWAY_PORT']}", Storage(store, retries=0))

    @property
    def administrator(self) -> pika.ConnectionParameters:
        return self.login("admin")

    def login(self, user: str) -> pika.ConnectionParameters:
        """Give what it takes to speak to RabbitMQ as one of its users."""
        name = "RABBITMQ_ADMIN" if user == "admin" else f"{user.upper().replace('-', '_')}_RABBITMQ"
        login = pika.PlainCredentials(user, self.stack.installation.secrets[f"{name}_PASSWORD"])
        return pika.ConnectionParameters(
            "127.0.0.1", self.stack.installation.ports["RABBITMQ_PORT"], credentials=login
        )

    def rabbitmqctl(self, *order: str) -> None:
        """Order the broker about."""
        rabbitmqctl(self.stack.table["rabbitmq"], *order)

    def note_ended(self) -> None:
        """Write down what has ended though no fault killed it, and start it again, as a supervisor would."""
        while name := self.stack.find_exited():
            how = describe_exit(self.stack.exit_code(name) or 0)
            self.say(f"{name} ended by itself, with {how}:\n{self.stack.log_tail(name)}")
            self.ended.append(f"{name} ended by itself, with {how}")
            self.start(name)

    def mend(self) -> None:
        """End every fault: what was killed in the middle of one runs again, links pass, disks have room."""
        for proxy in self.links.values():
            proxy.mode = "pass"
        for disk in self.disks.values():
            disk.relieve()
        self.note_ended()
        for name in (*SERVERS, *SERVICES):
            if self.stack.is_running(name):
                self.stack.signal(name, signal.SIGCONT)
            else:
                self.start(name)
        for name in (*SERVERS, *SERVICES):
            self.stack.wait_ready(name)

    def lead_through_proxies(self) -> None:
        """Put a proxy into every link of a service, and start the services anew behind them."""
        for service, servers in _KNOWN.items():
            for server in servers:
                self.links[service, server] = Proxy(self.stack.installation.ports[_PORTS[server]]).start()
        for service in _KNOWN:
            self.stack.stop(service)
            self.start(service)
        for service in _KNOWN:
            self.stack.wait_ready(service)
