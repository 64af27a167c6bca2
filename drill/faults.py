"""What is done to the system while it is used: a menu of faults, each of which ends by itself."""

import random
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pika

from drill.lossy import BadPostman
from drill.proxy import Mode, Proxy
from local.account import change_user
from local.stack import Stack

SERVICES = ("gateway", "thumbnailer", "status-tracker")
SERVERS = ("minio", "rabbitmq", "postgres")
HEARTBEATS_SECONDS = 25.0  # two of the services' heartbeats of 10, and some


@dataclass
class Scene:
    """The system, the links between its parts, and the chance that decides."""

    stack: Stack
    chance: random.Random
    say: Callable[[str], None]
    stop: threading.Event
    links: dict[tuple[str, str], Proxy] = field(default_factory=dict)  # by service and server

    def wait(self, low: float, high: float) -> None:
        """Let time pass, but no longer than until the drill ends."""
        self.stop.wait(self.chance.uniform(low, high))

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
    def administrator(self) -> pika.ConnectionParameters:
        login = pika.PlainCredentials("admin", self.stack.site.secrets["RABBITMQ_ADMIN_PASSWORD"])
        return pika.ConnectionParameters("127.0.0.1", self.stack.site.ports["RABBITMQ_PORT"], credentials=login)

    def rabbitmqctl(self, *arguments: str) -> None:
        """Order the broker about, as its own user."""
        row = self.stack.table["rabbitmq"]
        program = str(row.command[0]).replace("rabbitmq-server", "rabbitmqctl")
        order = [program, "-n", row.environment["RABBITMQ_NODENAME"], *arguments]
        subprocess.run(  # noqa: S603
            ["setpriv", *change_user(row.account), "--", *order],  # noqa: S607
            env=dict(row.environment), check=True, stdout=subprocess.DEVNULL, timeout=60,
        )  # fmt: skip


def kill_a_service(scene: Scene) -> None:
    name = scene.chance.choice(SERVICES)
    scene.say(f"kill -9 {name}")
    scene.stack.kill(name)
    scene.wait(0, 1)
    scene.start(name)
    scene.wait(0.5, 3)


def kill_a_server(scene: Scene) -> None:
    names = list(SERVERS) if scene.chance.random() < 0.25 else [scene.chance.choice(SERVERS)]
    scene.say(f"kill -9 {', '.join(names)}")
    for name in names:
        scene.stack.kill(name)
    scene.wait(0, 3)
    for name in names:
        scene.start(name)
    for name in names:
        scene.stack.wait_ready(name)


def freeze_a_service(scene: Scene) -> None:
    name = scene.chance.choice(SERVICES[1:])
    scene.say(f"SIGSTOP {name} for {HEARTBEATS_SECONDS:.0f} s")
    scene.stack.signal(name, signal.SIGSTOP)
    scene.stop.wait(HEARTBEATS_SECONDS)
    scene.stack.signal(name, signal.SIGCONT)


def disturb_a_link(scene: Scene) -> None:
    (service, server), proxy = scene.chance.choice(list(scene.links.items()))
    modes: list[Mode] = ["swallow-requests", "swallow-answers", "delay", "cut", "reset"]
    proxy.mode = scene.chance.choice(modes)
    scene.say(f"{proxy.mode} between {service} and {server}")
    scene.wait(2, 10)
    proxy.mode = "pass"


def raise_an_alarm(scene: Scene) -> None:
    kind = scene.chance.choice(["disk", "memory"])
    scene.say(f"the broker's {kind} alarm")
    if kind == "disk":
        scene.rabbitmqctl("set_disk_free_limit", "999GB")
    else:
        scene.rabbitmqctl("set_vm_memory_high_watermark", "0.0001")
    scene.wait(3, 8)
    scene.rabbitmqctl("set_disk_free_limit", "50MB")
    scene.rabbitmqctl("set_vm_memory_high_watermark", "0.4")


def delete_a_queue(scene: Scene) -> None:
    name = scene.chance.choice(["image_queue", "status_tracker", "image_queue.retry.5s"])
    scene.say(f"the queue {name} is deleted, with what is in it")
    with pika.BlockingConnection(scene.administrator) as connection:
        connection.channel().queue_delete(name)
    scene.wait(1, 3)


def lose_events(scene: Scene) -> None:
    scene.say("a tenth of MinIO's events is lost, a fifth comes twice, and in any order")
    with BadPostman(scene.administrator, scene.chance) as postman:
        scene.wait(5, 10)
    scene.say(f"{postman.lost} events were lost")


def roll_a_restart(scene: Scene) -> None:
    scene.say("rolling restart")
    for name in SERVICES:
        scene.stack.stop(name)
        scene.start(name)
        scene.stack.wait_ready(name)


@dataclass(frozen=True)
class Fault:
    """A line of the menu."""

    strike: Callable[[Scene], None]
    about: str


MENU = {
    "services": Fault(kill_a_service, "kill -9 of a service of ours"),
    "servers": Fault(kill_a_server, "kill -9 of MinIO, RabbitMQ, Postgres, or all of them"),
    "freeze": Fault(freeze_a_service, "SIGSTOP of a consumer for longer than two heartbeats"),
    "links": Fault(disturb_a_link, "a link that swallows, delays, cuts or resets"),
    "alarms": Fault(raise_an_alarm, "the broker's memory and disk alarms"),
    "queues": Fault(delete_a_queue, "a queue deleted with what is in it"),
    "events": Fault(lose_events, "events lost, doubled and shuffled"),
    "restarts": Fault(roll_a_restart, "SIGTERM and start of one service after the other"),
}


def lead_through_proxies(scene: Scene) -> None:
    """Put a proxy into every link of a service, and start the services anew behind them."""
    ports = {"minio": "MINIO_PORT", "rabbitmq": "RABBITMQ_PORT", "postgres": "POSTGRES_PORT"}
    knows = {"gateway": SERVERS, "thumbnailer": ("minio", "rabbitmq"), "status-tracker": SERVERS}
    for service, servers in knows.items():
        for server in servers:
            scene.links[service, server] = Proxy(scene.stack.site.ports[ports[server]]).start()
    for service in knows:
        scene.stack.stop(service)
        scene.start(service)
    for service in knows:
        scene.stack.wait_ready(service)


def mend(scene: Scene) -> None:
    """End every fault: what was killed in the middle of one runs again, links pass, alarms are off."""
    for proxy in scene.links.values():
        proxy.mode = "pass"
    for name in (*SERVERS, *SERVICES):
        if scene.stack.is_running(name):
            scene.stack.signal(name, signal.SIGCONT)
        else:
            scene.start(name)
    for name in (*SERVERS, *SERVICES):
        scene.stack.wait_ready(name)
